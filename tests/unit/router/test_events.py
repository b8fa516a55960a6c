"""What an event says in the open, and what it never says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.control import IdKind
from contracts.events.registry import EVENT_TYPES
from contracts.headers import sealed_digest
from contracts.pseudonyms import Alias, Domain, pseudonym
from contracts.topics import tenant_events_topic
from router.events import Event, EventMaker, Types, partition_of, rfc3339
from router.split.item import AccountKey
from tests.support.batches import headers_of
from tests.unit.router.scene import NOW_MS, PAGE, TENANT, account, item, tenant

KEY = bytes(range(32))
SCHEMAS = {name: kind.dataschema.encode() for name, kind in EVENT_TYPES.items()}
MESSENGER = account([(IdKind.PAGE, "7001"), (IdKind.APP_SCOPED_USER, "hash")])


@pytest.fixture
def maker() -> EventMaker:
    """Of a tenant with 8 partitions."""
    return EventMaker(tenant(partitions=8), KEY, Types(SCHEMAS))


def shown(event: Event) -> list[tuple[str, bytes]]:
    """Its headers, as a reader of the record finds them."""
    return headers_of(event.headers, event.header_count)


def test_headers_are_those_of_the_architecture(maker: EventMaker) -> None:
    event = maker.make(item(), MESSENGER, NOW_MS)
    assert dict(shown(event)) == {
        "ce_specversion": b"1.0",
        "ce_id": str(event.event).encode(),
        "ce_source": b"/meta/messenger/7001",
        "ce_type": b"message.received",
        "ce_time": rfc3339(NOW_MS - 1_500),
        "ce_subject": event.key.hex().encode(),
        "ce_tenant": str(TENANT).encode(),
        "ce_dataschema": SCHEMAS["message.received"],
        "ce_datacontenttype": b"application/json",
        "mk_person": pseudonym(KEY, Domain.PSID, "900").hex().encode(),
        "mk_received_at": str(NOW_MS).encode(),
        "mk_ref": pseudonym(KEY, Domain.MESSAGE_REF, "7001:m_1").hex().encode(),
        "mk_account": str(MESSENGER.account).encode(),
        "mk_dir": b"i",
    }
    assert event.key == pseudonym(KEY, Domain.CONVERSATION, f"{MESSENGER.account}:900")
    assert partition_of(event.key, 8) == int.from_bytes(event.key[:8]) % 8


def test_the_same_item_is_the_same_event_whenever_it_arrives(maker: EventMaker) -> None:
    again = EventMaker(tenant(partitions=8), KEY, Types(SCHEMAS))
    first = maker.make(item(path="entry[0].messaging[0]"), MESSENGER, NOW_MS)
    second = again.make(item(path="entry[7].messaging[3]"), MESSENGER, NOW_MS + 86_400_000)
    assert (first.event, first.key) == (second.event, second.key)


def test_another_tenants_key_gives_other_ids(maker: EventMaker) -> None:
    other = EventMaker(tenant(), b"x" * 32, Types(SCHEMAS))
    mine, theirs = maker.make(item(), MESSENGER, NOW_MS), other.make(item(), MESSENGER, NOW_MS)
    assert mine.event != theirs.event
    assert mine.key != theirs.key


def test_an_undated_item_without_message_or_person_says_so_by_absence(maker: EventMaker) -> None:
    one = item(occurred_at_ms=None, conversation=None, message_id=None, aliases=())
    event = maker.make(one, MESSENGER, NOW_MS)
    headers = dict(shown(event))
    assert "ce_time" not in headers
    assert "mk_ref" not in headers
    assert headers["mk_person"] == b""
    assert event.key == pseudonym(KEY, Domain.ACCOUNT, str(MESSENGER.account))


def test_people_stand_in_the_order_of_their_aliases(maker: EventMaker) -> None:
    aliases = (Alias(Domain.BSUID, "b.1"), Alias(Domain.PHONE, "5531987650001"))
    event = maker.make(item(aliases=aliases), MESSENGER, NOW_MS)
    expected = b",".join(pseudonym(KEY, one.domain, one.value).hex().encode() for one in aliases)
    assert dict(shown(event))["mk_person"] == expected


def test_the_source_is_the_companys_id_even_when_an_administrator_names_the_account(
    maker: EventMaker,
) -> None:
    one = item(AccountKey(IdKind.APP_SCOPED_USER, "31000"))
    event = maker.make(one, MESSENGER, NOW_MS)
    assert dict(shown(event))["ce_source"] == b"/meta/messenger/7001"
    assert not any(b"31000" in value for _, value in shown(event))


def test_no_header_and_no_repr_holds_what_names_a_person(maker: EventMaker) -> None:
    one = item(
        conversation="5531987650001",
        message_id="wamid.5531987650001",
        native_id="wamid.5531987650001",
        aliases=(Alias(Domain.PHONE, "5531987650001"),),
        data={"text": "5531987650001"},
    )
    event = maker.make(one, MESSENGER, NOW_MS)
    assert not any(b"5531987650001" in value for _, value in shown(event))
    assert "5531987650001" not in repr(event)


@given(
    st.sampled_from(sorted(SCHEMAS)),
    st.none() | st.integers(-30_000_000_000_000, 250_000_000_000_000),
    st.none() | st.text(),
    st.none() | st.text(),
    st.lists(st.builds(Alias, st.sampled_from(Domain), st.text()), max_size=4),
    st.integers(0, 2**50),
)
def test_the_kept_parts_give_the_digest_that_the_reader_makes_of_the_headers(
    event_type: str,
    occurred_at_ms: int | None,
    conversation: str | None,
    message_id: str | None,
    aliases: list[Alias],
    received_at_ms: int,
) -> None:
    made = EventMaker(tenant(), KEY, Types(SCHEMAS))
    one = item(
        event_type=event_type,
        occurred_at_ms=occurred_at_ms,
        conversation=conversation,
        message_id=message_id,
        aliases=tuple(aliases),
    )
    for _ in range(2):  # The second time from what was kept.
        event = made.make(one, MESSENGER, received_at_ms)
        assert event.digest == sealed_digest(tenant_events_topic(tenant().slot), shown(event))
        assert shown(event) == sorted(shown(event))


def test_what_makers_share_says_nothing_of_a_tenant() -> None:
    shared = Types(SCHEMAS)
    alone = EventMaker(tenant(), b"x" * 32, Types(SCHEMAS)).make(item(), MESSENGER, NOW_MS)
    EventMaker(tenant(), KEY, shared).make(item(), MESSENGER, NOW_MS)
    beside = EventMaker(tenant(), b"x" * 32, shared).make(item(), MESSENGER, NOW_MS)
    assert (beside.key, beside.headers) == (alone.key, alone.headers)


def test_times_are_written_with_milliseconds_in_utc() -> None:
    assert rfc3339(0) == b"1970-01-01T00:00:00.000Z"
    assert rfc3339(1_582_934_400_007) == b"2020-02-29T00:00:00.007Z"


def test_an_account_that_changed_shows_its_new_id(maker: EventMaker) -> None:
    before = maker.make(item(PAGE), MESSENGER, NOW_MS)
    renamed = account([(IdKind.PAGE, "7002")])
    after = maker.make(item(AccountKey(IdKind.PAGE, "7002")), renamed, NOW_MS)
    assert dict(shown(before))["ce_source"] == b"/meta/messenger/7001"
    assert dict(shown(after))["ce_source"] == b"/meta/messenger/7002"
