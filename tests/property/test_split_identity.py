"""Two different events never share an identity, and the same one keeps its own. META.md section 12."""

from __future__ import annotations

import json
import random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.meta_fields import WHATSAPP
from router.split import Item
from tests.fixtures.meta import bodies as meta
from tests.support.items import corpus, found, identity, needs_corpus


def messaging_items() -> st.SearchStrategy[dict[str, Any]]:
    people = st.sampled_from(["4000000000001", "4000000000002"])
    mids = st.sampled_from(["m_1", "m_2"])
    kinds = st.one_of(
        st.builds(lambda mid: {"message": {"mid": mid, "text": mid}}, mids),
        st.builds(lambda mid: {"message": {"mid": mid, "is_deleted": True}}, mids),
        st.builds(
            lambda mid, n: {"message_edit": {"mid": mid, "num_edit": n, "text": str(n)}},
            mids,
            st.integers(1, 3),
        ),
        st.builds(
            lambda mid, action: {"reaction": {"mid": mid, "action": action, "emoji": "❤"}},
            mids,
            st.sampled_from(["react", "unreact"]),
        ),
        st.builds(lambda at: {"read": {"watermark": at}}, st.integers(1, 3)),
        st.builds(lambda at: {"delivery": {"watermark": at}}, st.integers(1, 3)),
        st.builds(lambda ref: {"optin": {"ref": ref}}, st.sampled_from(["a", "b"])),
        st.builds(lambda payload: {"postback": {"payload": payload}}, st.sampled_from(["a", "b"])),
    )
    # A message id belongs to one sender and one moment; everything else may vary.
    return st.builds(
        lambda kind, person, at: (
            meta.item("4000000000001" if "message" in kind else person, **kind)
            | {"timestamp": meta.NOW_MS + (0 if "message" in kind else at)}
        ),
        kinds,
        people,
        st.sampled_from([0, 1, 1000]),
    )


@settings(max_examples=200, deadline=None)
@given(
    st.lists(messaging_items(), min_size=2, max_size=8, unique_by=lambda raw: json.dumps(raw, sort_keys=True))
)
def test_two_different_items_never_share_an_identity(raw: list[dict[str, Any]]) -> None:
    identities = [identity(item) for item in found(meta.messaging(*raw))]
    assert len(identities) == len(raw)
    assert len(set(identities)) == len({_event_of(one) for one in raw})


def _event_of(raw: dict[str, Any]) -> str:
    """Twice the same watermark or the same edit from the same sender within a second is one event (META.md section 12)."""
    once = {"read", "delivery", "message_edit"} & raw.keys()
    second = raw["timestamp"] // 1000 if once else raw["timestamp"]
    return json.dumps({**raw, "timestamp": second}, sort_keys=True)


FEED = st.fixed_dictionaries(
    {
        "item": st.sampled_from(["comment", "post", "reaction"]),
        "verb": st.sampled_from(["add", "edited", "remove", "hide"]),
        "post_id": st.sampled_from(["1", "2"]),
        "created_time": st.just(meta.NOW_S),
    },
    optional={"comment_id": st.sampled_from(["1_1", "1_2"]), "message": st.sampled_from(["a", "b"])},
)


@settings(max_examples=200, deadline=None)
@given(st.lists(FEED, min_size=2, max_size=8, unique_by=lambda value: json.dumps(value, sort_keys=True)))
def test_two_different_feed_changes_never_share_an_identity_unless_they_add_the_same_comment(
    raw: list[dict[str, Any]],
) -> None:
    seen: dict[UUID, dict[str, Any]] = {}
    for value in raw:
        (item,) = found(meta.change("feed", value))
        other = seen.setdefault(identity(item), value)
        if other is not value:
            assert item.event_type == "comment.created"
            assert other["comment_id"] == value["comment_id"]


GROUP_STATUSES = st.builds(
    lambda word, wamid, participant, at: meta.status(
        word,
        wamid,
        recipient_id="1203@g.us",
        recipient_type="group",
        recipient_participant_id=participant,
        timestamp=str(at),
    ),
    st.sampled_from(["sent", "delivered", "read"]),
    st.sampled_from(["wamid.A", "wamid.B"]),
    st.sampled_from(["14155550100", "14155550101"]),
    st.sampled_from([meta.NOW_S, meta.NOW_S + 1]),
)
CHANGED_MESSAGES = st.one_of(
    st.builds(
        lambda wamid, emoji, at: meta.message(
            wamid, type="reaction", reaction={"message_id": "wamid.T", **emoji}, timestamp=str(at)
        ),
        st.sampled_from(["wamid.A", "wamid.B"]),
        st.sampled_from([{}, {"emoji": "👍"}, {"emoji": "❤"}]),
        st.sampled_from([meta.NOW_S, meta.NOW_S + 1, meta.NOW_S + 2]),
    ),
    st.builds(
        lambda wamid, at: meta.message(
            wamid, type="revoke", revoke={"original_message_id": "wamid.T"}, timestamp=str(at)
        ),
        st.sampled_from(["wamid.A", "wamid.B"]),
        st.sampled_from([meta.NOW_S, meta.NOW_S + 1]),
    ),
)
CALLS = st.builds(
    lambda call, event, at: {
        "id": call,
        "event": event,
        "from": meta.CUSTOMER,
        "direction": "USER_INITIATED",
        "timestamp": str(at),
    },
    st.sampled_from(["wacid.1", "wacid.2"]),
    st.sampled_from(["connect", "terminate", "CALL_STATUS", "seen_never"]),
    st.sampled_from([meta.NOW_S, meta.NOW_S + 1]),
)
GROUP_CHANGES = st.builds(
    lambda kind, people: {
        "group_id": "1203@g.us",
        "type": kind,
        "timestamp": str(meta.NOW_S),
        "added_participants": [{"wa_id": person} for person in people],
    },
    st.sampled_from(["group_participants_add", "group_participants_remove"]),
    st.lists(st.sampled_from(["14155550100", "14155550101"]), unique=True, max_size=2),
)


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        *(
            st.tuples(
                st.just(name),
                st.lists(kind, min_size=2, max_size=6, unique_by=lambda raw: json.dumps(raw, sort_keys=True)),
            )
            for name, kind in (
                ("statuses", GROUP_STATUSES),
                ("messages", CHANGED_MESSAGES),
                ("calls", CALLS),
                ("groups", GROUP_CHANGES),
            )
        )
    )
)
def test_two_different_elements_of_a_value_never_share_an_identity(
    case: tuple[str, list[dict[str, Any]]],
) -> None:
    name, elements = case
    items = [
        item for element in elements for item in found(meta.whatsapp(meta.value(**{name: [element]}), name))
    ]
    distinct = {json.dumps([item.data["fragment"], item.data["envelope"]], sort_keys=True) for item in items}
    assert len({identity(item) for item in items}) == len(distinct)


ACCOUNT_CHANGES = st.tuples(
    st.sampled_from([field for field in WHATSAPP if field not in ("calls", "history")]),
    st.dictionaries(
        st.sampled_from(["event", "decision", "message_template_id", "waba_info", "reason"]),
        st.sampled_from(["A", "B", 7]),
        min_size=1,
        max_size=3,
    ),
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(ACCOUNT_CHANGES, min_size=2, max_size=6, unique_by=lambda raw: json.dumps(raw, sort_keys=True))
)
def test_two_different_changes_of_an_account_never_share_an_identity(
    raw: list[tuple[str, dict[str, Any]]],
) -> None:
    items = [item for field, value in raw for item in found(meta.whatsapp(value, field, time=meta.NOW_S))]
    assert len({identity(item) for item in items}) == len(raw)


def test_react_unreact_and_react_again_are_three_events_and_their_redelivery_the_same_three() -> None:
    def reaction(emoji: str, at: int) -> bytes:
        raw = meta.message(f"wamid.{at}", type="reaction", reaction={"message_id": "wamid.T", "emoji": emoji})
        return meta.whatsapp(meta.value(messages=[raw | {"timestamp": str(meta.NOW_S + at)}]))

    def messenger(action: str, at: int) -> bytes:
        raw = meta.item(reaction={"mid": "m", "action": action, "emoji": "❤"})
        return meta.messaging(raw | {"timestamp": meta.NOW_MS + at})

    for bodies in (
        [reaction("👍", 0), reaction("", 1), reaction("👍", 2)],
        [messenger("react", 0), messenger("unreact", 1), messenger("react", 2)],
    ):
        first = {identity(item) for body in bodies for item in found(body)}
        again = {identity(item) for body in reversed(bodies) for item in found(body)}
        assert len(first) == len(bodies)
        assert first == again


@needs_corpus
@pytest.mark.corpus
def test_a_body_of_the_corpus_with_one_leaf_changed_never_becomes_the_same_event_unless_it_has_metas_id() -> (
    None
):
    """An id of Meta's, or a reader's watermark, stands for the content; everything else is told apart by its content."""
    chance = random.Random(5)
    for name, body in corpus():
        before = {identity(item): item for item in found(body)}
        delivery = json.loads(body)
        if not before or not _change_a_leaf(delivery.get("entry"), chance):
            continue
        for item in found(json.dumps(delivery).encode()):
            other = before.get(identity(item))
            if other is not None and other.data["fragment"] != item.data["fragment"]:
                by_watermark = "watermark_ms" in item.data.get("receipt", {})
                assert item.native_id is not None or by_watermark, name


def _change_a_leaf(value: object, chance: random.Random) -> bool:
    places: list[tuple[Any, Any]] = []
    stack = [value]
    while stack:
        outer = stack.pop()
        keys = outer if isinstance(outer, dict) else range(len(outer)) if isinstance(outer, list) else ()
        for key in keys:
            inner = outer[key]  # type: ignore[index]
            (stack.append(inner) if isinstance(inner, (dict, list)) else places.append((outer, key)))
    if not places:
        return False
    outer, key = chance.choice(places)
    outer[key] = f"{outer[key]}7"
    return True


@needs_corpus
@pytest.mark.corpus
def test_two_bodies_of_the_corpus_that_share_an_identity_are_about_the_same_id_of_metas() -> None:
    seen: dict[UUID, Item] = {}
    for _, body in corpus():
        for item in found(body):
            other = seen.setdefault(identity(item), item)
            if other.data["fragment"] != item.data["fragment"]:
                assert item.native_id is not None
                assert item.native_id == other.native_id
