"""Opening a raw record: what is tampering, what is worth waiting for, what is gone."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from contracts import topics
from contracts.block import Delivery, pack
from contracts.errors import KeyGone, KeyNotYetKnown, TamperedRecord
from contracts.headers import MK_COUNT, MK_SIZE
from contracts.hybrid import HybridPrivateKey
from contracts.sealing import KEY_KEPT_AFTER_S, NO_TENANT, RecordOpener
from contracts.signing import RIGHTS_BY_PROCESS, KnownSigner, Signer
from router.open import Origin, RawRecord, SignerNotYetKnown, Signers, open_block, origin_of
from router.quarantine import quarantine_record
from router.route import selected
from runtime.clock import SystemClock
from runtime.epochs import EpochSource

RAW_KEY = HybridPrivateKey.generate()
INGEST, ROUTER = Signer.from_bytes("ingest", b"i" * 32), Signer.from_bytes("router", b"r" * 32)
CLOCK = SystemClock()
KNOWN = {
    name: KnownSigner(name, signer.public_raw, RIGHTS_BY_PROCESS[name])
    for name, signer in (("ingest", INGEST), ("router", ROUTER))
}


def record(count: bytes = b"1", size: int | None = None, signer: Signer = INGEST) -> RawRecord:
    """A block of one delivery."""
    compressed, length = pack([Delivery("main", 1, b"{}")])
    headers = [(MK_COUNT, count), (MK_SIZE, b"%d" % (size or length))]
    until = CLOCK.now() + timedelta(days=1)
    value, headers = EpochSource(signer, CLOCK).seal(
        topics.RAW, NO_TENANT, (RAW_KEY.public, until), compressed, headers
    )
    return RawRecord(topics.RAW, 2, 17, now_ms(), value, tuple(headers))


def now_ms() -> int:
    """The broker's time now."""
    return int(CLOCK.now().timestamp() * 1000)


def opened(
    one: RawRecord, *, keys: bool = True, known: dict[str, KnownSigner] = KNOWN, later_s: float = 0
) -> Sequence[Delivery]:
    """Open it, so much later."""
    signers = Signers(known.get)
    halves = {RAW_KEY.public.key_id: RAW_KEY} if keys else {}
    opener = RecordOpener(halves.get, signers)
    origin = Origin(one.timestamp_ms)
    return open_block(one, origin, opener, signers, CLOCK.now().timestamp() + later_s)


def test_a_block_opens() -> None:
    assert [delivery.body for delivery in opened(record())] == [b"{}"]


@pytest.mark.parametrize(("count", "size"), [(b"2", None), (b"x", None), (b"1", 9_000)])
def test_a_header_that_does_not_fit_the_block_is_tampering(count: bytes, size: int | None) -> None:
    with pytest.raises(TamperedRecord):
        opened(record(count, size))


def test_a_signer_that_control_has_not_announced_is_waited_for() -> None:
    with pytest.raises(SignerNotYetKnown):
        opened(record(), known={})


def test_a_known_signer_who_may_not_seal_raw_blocks_is_tampering() -> None:
    with pytest.raises(TamperedRecord):
        opened(record(signer=ROUTER))


def test_an_unknown_key_is_waited_for_until_it_must_have_been_destroyed() -> None:
    """The record's own time stands still: the answer must still change with time, or the partition waits for ever."""
    one = record()
    with pytest.raises(KeyNotYetKnown):
        opened(one, keys=False)
    with pytest.raises(KeyNotYetKnown):
        opened(one, keys=False, later_s=KEY_KEPT_AFTER_S)
    with pytest.raises(KeyGone):
        opened(one, keys=False, later_s=KEY_KEPT_AFTER_S + 400)


def replayed(replay: int = 2, signer: Signer = ROUTER) -> RawRecord:
    """A record as it comes back from quarantine."""
    one = record()
    origin = Origin(12_345, replay)
    _, value, headers = quarantine_record(one, origin, [("deliveries[0]", "defect")], signer)
    return RawRecord(topics.RAW, 2, 99, now_ms(), value, tuple(headers))


def test_a_replay_keeps_its_first_time_of_receipt_and_names_its_items() -> None:
    assert origin_of(replayed(), Signers(KNOWN.get)) == Origin(12_345, 2, (("deliveries[0]", "defect"),))


def test_a_record_without_facts_was_received_when_the_broker_took_it() -> None:
    one = record()
    assert origin_of(one, Signers(KNOWN.get)) == Origin(one.timestamp_ms)


def test_changed_added_or_unsigned_facts_are_tampering() -> None:
    one = replayed()
    for headers in (
        [(name, b"0" if name == "q_replay" else value) for name, value in one.headers],
        [pair for pair in one.headers if pair[0] != "q_sig"],
        [*one.headers, ("q_more", b"1")],
    ):
        changed = RawRecord(one.topic, 2, 99, 1, one.value, tuple(headers))
        with pytest.raises(TamperedRecord):
            origin_of(changed, Signers(KNOWN.get))


def test_facts_signed_by_someone_without_that_right_are_tampering() -> None:
    with pytest.raises(TamperedRecord):
        origin_of(replayed(signer=INGEST), Signers(KNOWN.get))


@pytest.mark.parametrize(
    ("path", "listed", "routed"),
    [
        ("deliveries[0].entry[1]", "deliveries[0].entry[1]", True),
        ("deliveries[0].entry[1].changes[0]", "deliveries[0].entry[1]", True),
        ("deliveries[0].entry[1]", "deliveries[0].entry[1].changes[0]", True),
        ("deliveries[0].entry[11]", "deliveries[0].entry[1]", False),
        ("deliveries[0].entry[1]", "deliveries[0].entry[11]", False),
        ("deliveries[10].entry[0]", "deliveries[1]", False),
        ("deliveries[1].entry[0]", "", True),
    ],
)
def test_a_replay_routes_what_is_listed_what_is_inside_it_and_what_is_around_it(
    path: str, listed: str, routed: bool
) -> None:
    assert selected(path, [(listed, "defect")]) is routed
    assert selected(path, None)
