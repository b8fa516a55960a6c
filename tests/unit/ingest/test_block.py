"""Which deliveries form a block, where it goes, and who is turned away."""

import json
from dataclasses import dataclass, field

import pytest

from contracts.block import Delivery, raw_partition
from ingest.block import Cause, Entry, Partitioner, PartitionQueue, QueueLimits, first_entry_id

LIMITS = QueueLimits(max_deliveries=3, max_bytes=1_000, max_age_s=1.0, deadline_s=3.5)


@dataclass
class Waiter:
    results: list[Cause | None] = field(default_factory=list)
    gone: bool = False

    def done(self) -> bool:
        return self.gone or bool(self.results)

    def set_result(self, result: Cause | None, /) -> None:
        assert not self.done()
        self.results.append(result)


def entry(at: float, body: bytes = b"x", waiter: Waiter | None = None) -> Entry:
    return Entry(Delivery("app", 0, body), waiter or Waiter(), at)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"object":"page","entry":[{"id":"123","time":1}]}', b"123"),
        (b'{"object":"page","entry":[{"id":123,"time":1}]}', b"123"),
        (b'{"entry" : [ {\n "time" : 17.5, "id" : "a.b" }], "object":"page"}', b"a.b"),
        (b'{"object":"user","entry":[{"uid":"9","id":"7"}]}', b"7"),
        (b'{"object":"page","entry":[]}', None),
        (b'{"object":"page","entry":[{"changes":[{"id":"5"}]}]}', None),
        (b'{"object":"page","entry":[{"id":""}]}', None),
        (b'{"id":"5"}', None),
        (b"not json", None),
        (b"", None),
    ],
)
def test_the_first_entry_id_is_found_where_meta_writes_it(body: bytes, expected: bytes | None) -> None:
    assert first_entry_id(body) == expected


def test_the_look_at_the_head_is_bounded() -> None:
    assert first_entry_id(b" " * 2_000 + b'{"entry":[{"id":"1"}]}') is None
    hostile = b'"entry":[{' + b'"a":"b",' * 200_000
    assert first_entry_id(hostile) is None


def test_deliveries_of_one_account_go_to_one_partition_whatever_else_they_hold() -> None:
    partitioner = Partitioner(12, remember=2)
    for number in range(40):
        one = json.dumps({"object": "page", "entry": [{"id": str(number), "time": 1}]}).encode()
        two = json.dumps({"object": "page", "entry": [{"id": str(number), "time": 2}, {"id": "z"}]}).encode()
        expected = raw_partition("app", str(number).encode(), 12)
        assert partitioner.partition_of("app", one) == partitioner.partition_of("app", two) == expected


def test_a_delivery_without_an_entry_id_goes_by_its_body() -> None:
    assert Partitioner(12).partition_of("app", b"???") == raw_partition("app", b"???", 12)


def test_a_block_closes_at_its_target_and_keeps_the_order() -> None:
    queue = PartitionQueue(QueueLimits())
    entries = [entry(0, b"x" * 40) for _ in range(5)]
    for one in entries:
        queue.add(one)
    size = entries[0].size
    assert queue.take(0, target_bytes=2 * size) == entries[:2]
    assert queue.take(0, target_bytes=2 * size + 1) == entries[2:4]
    assert queue.take(0) == entries[4:]
    assert queue.take(0) == []


def test_a_delivery_larger_than_the_target_is_a_block_of_its_own() -> None:
    queue = PartitionQueue(QueueLimits())
    small, large = entry(0, b"s"), entry(0, b"l" * 500)
    for one in (small, large, small):
        queue.add(one)
    assert queue.take(0, target_bytes=100) == [small]
    assert queue.take(0, target_bytes=100) == [large]
    assert queue.take(0, target_bytes=100) == [small]


def test_a_queue_refuses_while_its_oldest_entry_is_old() -> None:
    queue = PartitionQueue(LIMITS)
    assert queue.refusal(10, 0.0) is None
    queue.add(entry(0.0))
    assert queue.refusal(10, 1.0) is None
    assert queue.refusal(10, 1.01) is Cause.QUEUE_AGE


def test_a_queue_refuses_when_full_by_number_or_bytes_but_takes_any_one_delivery() -> None:
    queue = PartitionQueue(LIMITS)
    assert queue.refusal(5_000_000, 0.0) is None
    queue.add(entry(0.0, b"x" * 900))
    assert queue.refusal(200, 0.0) is Cause.QUEUE_FULL
    assert queue.refusal(10, 0.0) is None
    queue.add(entry(0.0))
    queue.add(entry(0.0))
    assert queue.refusal(1, 0.0) is Cause.QUEUE_FULL
    queue.take(0.0)
    assert queue.refusal(900, 0.0) is None


def test_an_expired_entry_is_taken_out_before_sealing_and_answered() -> None:
    queue = PartitionQueue(LIMITS)
    late, fresh = Waiter(), Waiter()
    queue.add(entry(0.0, waiter=late))
    queue.add(entry(2.0, waiter=fresh))
    taken = queue.take(3.5)
    assert [one.waiter for one in taken] == [fresh]
    assert late.results == [Cause.QUEUE_AGE]
    assert fresh.results == []


def test_a_waiter_that_went_away_takes_only_its_own_entry_along() -> None:
    queue = PartitionQueue(LIMITS)
    gone, here = Waiter(gone=True), Waiter()
    queue.add(entry(0.0, waiter=gone))
    queue.add(entry(0.0, waiter=here))
    assert [one.waiter for one in queue.take(0.1)] == [here]


def test_expiry_answers_the_old_and_leaves_the_young() -> None:
    queue = PartitionQueue(LIMITS)
    late, fresh = Waiter(), Waiter()
    queue.add(entry(0.0, waiter=late))
    queue.add(entry(1.0, waiter=fresh))
    queue.expire(3.6)
    assert late.results == [Cause.QUEUE_AGE]
    assert len(queue) == 1
    queue.refuse_all(Cause.BROKER)
    assert fresh.results == [Cause.BROKER]
    assert len(queue) == 0
