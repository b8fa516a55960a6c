"""Group commit: what is promised, to whom, and when not. The sender here is a double; the real one has its own test."""

import asyncio
import base64
import hmac
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka.structs import RecordMetadata, TopicPartition

from contracts import topics
from contracts.block import raw_partition, unpack
from contracts.errors import BrokerUnavailable, FatalError
from contracts.headers import MK_COUNT, MK_SIZE, index
from contracts.hybrid import HybridPrivateKey
from contracts.key_file import PublishedKey, current_key
from contracts.sealing import RecordOpener
from contracts.signing import RIGHTS_BY_PROCESS, KnownSigner, Signer
from ingest.block import Cause, QueueLimits
from ingest.counts import Counts
from ingest.publish import IN_FLIGHT, LARGE_IN_FLIGHT, BlockPublisher, NotPromised
from ingest.signature import AppSecret, Verified, verify
from runtime.clock import SystemClock
from runtime.epochs import EpochSource
from runtime.metrics import ProcessMetrics
from tests.support.virtual_time import in_virtual_time

SIGNER = Signer.from_bytes("ingest", bytes(range(32)))
PRIVATE = HybridPrivateKey.generate()
FAST = QueueLimits(max_age_s=0.2, deadline_s=0.5)


class Sender:
    """A producer whose acknowledgements come when the test says so."""

    def __init__(self) -> None:
        self.alive = True
        self.reachable = True
        self.partitions = 1
        self.rebuilt = 0
        self.sent: list[tuple[bytes, Sequence[tuple[str, bytes]], int | None]] = []
        self.acks: list[asyncio.Future[Any]] = []
        self.at_once = False

    async def rebuild(self) -> None:
        self.rebuilt += 1
        if not self.reachable:
            raise BrokerUnavailable("away")
        self.alive = True

    async def partitions_of(self, topic: str) -> int:
        assert topic == topics.RAW
        return self.partitions

    async def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
        partition: int | None = None,
    ) -> asyncio.Future[Any]:
        assert topic == topics.RAW
        assert key is None
        assert value is not None
        self.sent.append((value, headers, partition))
        ack: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self.at_once:
            ack.set_result(taken())
        self.acks.append(ack)
        return ack


class Bench:
    """A publisher over a sender, with what it sealed readable."""

    def __init__(self, limits: QueueLimits = FAST, partitions: int = 1) -> None:
        self.sender = Sender()
        self.sender.partitions = partitions
        self.failures: list[BaseException] = []
        now = datetime.now(UTC)
        self.keys: tuple[PublishedKey, ...] = (
            PublishedKey(
                public_key=base64.b64encode(PRIVATE.public.raw),
                active_from=now - timedelta(hours=1),
                seal_until=now + timedelta(hours=1),
            ),
        )
        self.publisher = BlockPublisher(
            self.sender,
            EpochSource(SIGNER, SystemClock()),
            lambda: current_key(self.keys, datetime.now(UTC)),
            Counts(ProcessMetrics("ingest")),
            partitions=partitions,
            limits=limits,
            fail=self.failures.append,
        )
        self.task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Bench":
        self.task = asyncio.create_task(self.publisher.run())
        await settled()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.task is not None
        self.task.cancel()
        for ack in self.sender.acks:
            if not ack.done():
                ack.set_exception(BrokerUnavailable("the test is over"))
                ack.exception()
        await asyncio.gather(self.task, return_exceptions=True)
        await settled()

    async def sent(self, count: int) -> None:
        """Until so many records were handed over."""
        async with asyncio.timeout(30):
            while len(self.sender.sent) < count:  # noqa: ASYNC110  # a thread compresses them
                await asyncio.sleep(0.01)

    def bodies(self, number: int) -> list[bytes]:
        value, headers, _ = self.sender.sent[number]
        opener = RecordOpener(
            lambda key_id: PRIVATE if key_id == PRIVATE.public.key_id else None,
            lambda name: KnownSigner(name, SIGNER.public_raw, RIGHTS_BY_PROCESS["ingest"]),
        )
        opened = opener.open(topics.RAW, value, headers, broker_time_s=datetime.now(UTC).timestamp())
        facts = index(headers)
        return [one.body for one in unpack(opened.plaintext, int(facts[MK_SIZE]), int(facts[MK_COUNT]))]


def taken(ago_s: float = 0.0) -> RecordMetadata:
    """The broker's acknowledgement, with its own time."""
    now_ms = int((time.time() - ago_s) * 1000)
    return RecordMetadata(topics.RAW, 0, TopicPartition(topics.RAW, 0), 0, now_ms, 1, 0)


def verified(body: bytes) -> Verified:
    header = b"sha256=" + hmac.digest(b"s", body, "sha256").hex().encode()
    return verify(body, header, [AppSecret("s", b"s")])


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@in_virtual_time
async def test_deliveries_of_one_moment_leave_in_one_record_at_once() -> None:
    async with Bench() as bench:
        waiting = [bench.publisher.offer("app", verified(b"body %d" % n)) for n in range(5)]
        await settled()
        assert len(bench.sender.sent) == 1
        assert bench.bodies(0) == [b"body %d" % n for n in range(5)]
        assert not any(one.done() for one in waiting)
        bench.sender.acks[0].set_result(taken())
        assert [await one for one in waiting] == [None] * 5


@in_virtual_time
async def test_what_arrives_while_blocks_are_in_flight_forms_the_next_one() -> None:
    async with Bench() as bench:
        for number in range(IN_FLIGHT):
            bench.publisher.offer("app", verified(b"first %d" % number))
            await settled()
        later = [bench.publisher.offer("app", verified(b"later %d" % n)) for n in range(3)]
        await settled()
        assert len(bench.sender.sent) == IN_FLIGHT
        bench.sender.acks[0].set_result(taken())
        await settled()
        assert bench.bodies(IN_FLIGHT) == [b"later %d" % n for n in range(3)]
        bench.sender.acks[IN_FLIGHT].set_result(taken())
        assert [await one for one in later] == [None] * 3


@in_virtual_time
async def test_without_an_acknowledgement_the_answer_is_503_in_time() -> None:
    async with Bench() as bench:
        started = asyncio.get_running_loop().time()
        waiter = bench.publisher.offer("app", verified(b"x"))
        assert await asyncio.wait_for(waiter, 2) is Cause.BROKER
        assert 0.4 < asyncio.get_running_loop().time() - started < 0.8


@pytest.mark.parametrize(("ahead_s", "promised"), [(-600, True), (0, True), (290, True), (310, False)])
@in_virtual_time
async def test_a_clock_so_far_ahead_that_nobody_could_open_the_block_stops_the_process_without_a_promise(
    ahead_s: float, promised: bool
) -> None:
    async with Bench() as bench:
        waiter = bench.publisher.offer("app", verified(b"x"))
        await settled()
        bench.sender.acks[0].set_result(taken(ahead_s))
        assert await waiter is (None if promised else Cause.BROKER)
        assert [type(one) for one in bench.failures] == ([] if promised else [FatalError])


@in_virtual_time
async def test_a_late_acknowledgement_frees_the_lane_again() -> None:
    async with Bench() as bench:
        assert await asyncio.wait_for(bench.publisher.offer("app", verified(b"x")), 2) is Cause.BROKER
        bench.sender.acks[0].set_result(taken())
        await settled()
        bench.sender.at_once = True
        assert await bench.publisher.offer("app", verified(b"y")) is None


@in_virtual_time
async def test_an_expired_delivery_is_never_sealed() -> None:
    async with Bench() as bench:
        for number in range(IN_FLIGHT):
            bench.publisher.offer("app", verified(b"stuck %d" % number))
            await settled()
        expired = bench.publisher.offer("app", verified(b"expired"))
        assert await asyncio.wait_for(expired, 2) is Cause.QUEUE_AGE
        for ack in list(bench.sender.acks):
            ack.set_result(taken())
        await settled()
        assert len(bench.sender.sent) == IN_FLIGHT


@in_virtual_time
async def test_a_cancelled_waiter_takes_only_its_own_delivery_along() -> None:
    async with Bench() as bench:
        gone = bench.publisher.offer("app", verified(b"gone"))
        here = bench.publisher.offer("app", verified(b"here"))
        gone.cancel()
        await settled()
        assert bench.bodies(0) == [b"here"]
        bench.sender.acks[0].set_result(taken())
        assert await here is None


@in_virtual_time
async def test_a_waiter_cancelled_after_sealing_changes_nothing_for_the_others() -> None:
    async with Bench() as bench:
        gone = bench.publisher.offer("app", verified(b"gone"))
        here = bench.publisher.offer("app", verified(b"here"))
        await settled()
        gone.cancel()
        bench.sender.acks[0].set_result(taken())
        assert await here is None
        assert bench.bodies(0) == [b"gone", b"here"]
        assert bench.failures == []


@in_virtual_time
async def test_an_old_queue_refuses() -> None:
    async with Bench() as bench:
        for number in range(IN_FLIGHT + 1):
            bench.publisher.offer("app", verified(b"%d" % number))
            await settled()
        await asyncio.sleep(0.3)
        with pytest.raises(NotPromised) as caught:
            bench.publisher.offer("app", verified(b"next"))
        assert caught.value.cause is Cause.QUEUE_AGE


@in_virtual_time
async def test_without_a_key_nothing_is_accepted() -> None:
    async with Bench() as bench:
        bench.keys = ()
        with pytest.raises(NotPromised) as caught:
            bench.publisher.offer("app", verified(b"x"))
        assert caught.value.cause is Cause.NO_KEY
        assert bench.sender.sent == []


@in_virtual_time
async def test_a_key_that_ends_between_offer_and_sealing_is_a_503() -> None:
    async with Bench() as bench:
        waiter = bench.publisher.offer("app", verified(b"x"))
        bench.keys = ()
        assert await waiter is Cause.NO_KEY
        assert bench.sender.sent == []


@in_virtual_time
async def test_a_dead_sender_is_answered_503_and_replaced() -> None:
    async with Bench() as bench:
        waiter = bench.publisher.offer("app", verified(b"x"))
        await settled()
        bench.sender.alive = False
        assert await asyncio.wait_for(waiter, 0.4) is Cause.BROKER
        await settled()
        assert bench.sender.rebuilt == 2
        bench.sender.at_once = True
        assert await bench.publisher.offer("app", verified(b"y")) is None


@in_virtual_time
async def test_while_kafka_cannot_be_reached_deliveries_are_refused_and_it_recovers_by_itself() -> None:
    bench = Bench()
    bench.sender.reachable = False
    bench.sender.at_once = True
    async with bench:
        assert not bench.publisher.available()
        with pytest.raises(NotPromised) as caught:
            bench.publisher.offer("app", verified(b"x"))
        assert caught.value.cause is Cause.BROKER
        bench.sender.reachable = True
        await asyncio.sleep(0.4)
        assert await bench.publisher.offer("app", verified(b"x")) is None


@in_virtual_time
async def test_another_number_of_partitions_than_declared_stops_the_process() -> None:
    bench = Bench(partitions=1)
    bench.sender.partitions = 12
    task = asyncio.create_task(bench.publisher.run())
    await asyncio.wait([task], timeout=1)
    assert "MKC_INGEST_RAW_PARTITIONS" in str(task.exception())


@in_virtual_time
async def test_a_record_that_the_client_gives_up_is_a_503_and_frees_its_place() -> None:
    async with Bench() as bench:
        for _ in range(IN_FLIGHT + 1):
            waiter = bench.publisher.offer("app", verified(b"x"))
            await settled()
            bench.sender.acks[-1].cancel()
            assert await asyncio.wait_for(waiter, 0.3) is Cause.BROKER
        bench.sender.at_once = True
        assert await asyncio.wait_for(bench.publisher.offer("app", verified(b"y")), 0.3) is None


@in_virtual_time
async def test_an_unknown_exception_stops_the_process_and_promises_nothing() -> None:
    async with Bench() as bench:
        waiter = bench.publisher.offer("app", verified(b"x"))
        await settled()
        bench.sender.acks[0].set_exception(ZeroDivisionError())
        assert await asyncio.wait_for(waiter, 0.3) is Cause.BROKER
        assert [type(exc) for exc in bench.failures] == [ZeroDivisionError]


async def test_a_large_body_leaves_in_a_block_of_its_own() -> None:
    async with Bench(QueueLimits()) as bench:
        bench.sender.at_once = True
        large = bytes(2_000_000)
        small = bench.publisher.offer("app", verified(b"s"))
        big = bench.publisher.offer("app", verified(large))
        assert await small is None
        assert await big is None
        assert sorted((bench.bodies(0), bench.bodies(1)), key=len) == [[b"s"], [large]]


async def test_of_large_blocks_only_a_few_are_on_their_way_at_once_and_small_ones_pass_them() -> None:
    async with Bench(QueueLimits(), partitions=8) as bench:
        for number in range(8):  # without an account in it, the body decides the partition
            bench.publisher.offer("app", verified(bytes((number,)) * 600_000))
        await bench.sent(LARGE_IN_FLIGHT)
        await asyncio.sleep(0.1)
        assert len(bench.sender.sent) == LARGE_IN_FLIGHT
        assert bench.publisher.large_blocks > LARGE_IN_FLIGHT
        small = next(
            body
            for body in (b"small %d" % number for number in range(100))
            if raw_partition("app", body, 8)
            not in {raw_partition("app", bytes((n,)) * 600_000, 8) for n in range(8)}
        )
        bench.publisher.offer("app", verified(small))
        await settled()
        assert bench.bodies(LARGE_IN_FLIGHT) == [small]
        bench.sender.acks[0].set_result(taken())
        await bench.sent(LARGE_IN_FLIGHT + 2)


@in_virtual_time
async def test_draining_waits_for_what_is_in_flight() -> None:
    async with Bench() as bench:
        waiter = bench.publisher.offer("app", verified(b"x"))
        assert not await bench.publisher.drain(0.05)
        bench.sender.acks[0].set_result(taken())
        assert await bench.publisher.drain(0.5)
        assert waiter.result() is None
