"""Records with far more bad items than a header can name, and blocks that take several turns of the event loop."""

import os

from contracts import topics
from contracts.signing import RIGHTS_BY_PROCESS, KnownSigner, Signer
from router.open import Origin, RawRecord, Signers, origin_of
from router.quarantine import quarantine_record
from router.route import selected
from router.split.delivery import split
from router.split.item import BadItem

ROUTER = Signer.from_bytes("router", os.urandom(32))
KNOWN = {"router": KnownSigner("router", ROUTER.public_raw, RIGHTS_BY_PROCESS["router"])}
LARGEST_BODY = 4 * topics.MIB


def limit_of(name: str) -> int:
    """`max.message.bytes` of a topic."""
    return next(topic.max_message_bytes for topic in topics.STATIC_TOPICS if topic.name == name)


def set_aside(bad: list[tuple[str, str]], value: bytes = b"sealed") -> RawRecord:
    """The quarantine record of a raw record with these bad items."""
    record = RawRecord(topics.RAW, 0, 7, 1_000, value, ())
    _, kept, headers = quarantine_record(record, Origin(1_000), bad, ROUTER)
    return RawRecord(topics.RAW, 0, 8, 2_000, kept, tuple(headers))


def size(record: RawRecord) -> int:
    """Bytes of value and headers."""
    return len(record.value) + sum(len(name) + len(value) for name, value in record.headers)


def test_a_body_of_nothing_but_bad_entries_still_fits_quarantine_and_the_way_back() -> None:
    body = b'{"object":"page","entry":[' + b"1," * 250_000 + b"1]}"
    parts = [part for part in split(body) if isinstance(part, BadItem)]
    assert len(parts) > 250_000
    record = set_aside([(f"deliveries[0].{part.path}", part.reason) for part in parts], bytes(LARGEST_BODY))
    assert size(record) < limit_of(topics.QUARANTINE_RAW)
    assert size(record) < limit_of(topics.RAW)
    assert origin_of(record, Signers(KNOWN.get)).only == (("deliveries[0]", "contract_violation"),)


def test_too_many_to_name_are_named_by_delivery_and_reason_and_all_selected_again() -> None:
    bad = [(f"deliveries[{at % 3}].entry[{at}]", ("defect", "unroutable")[at % 2]) for at in range(30_000)]
    only = origin_of(set_aside(bad), Signers(KNOWN.get)).only
    assert only is not None
    assert sorted(only) == [
        (f"deliveries[{at}]", reason) for at in range(3) for reason in ("defect", "unroutable")
    ]
    assert all(selected(path, only) for path, _ in bad)
    assert not selected("deliveries[3].entry[0]", only)


def test_a_few_are_named_one_by_one() -> None:
    bad = [("deliveries[0].entry[1]", "defect"), ("deliveries[0].entry[2]", "defect")]
    assert origin_of(set_aside(bad), Signers(KNOWN.get)).only == tuple(bad)
