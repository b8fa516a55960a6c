"""Every item of every record ends exactly once, whatever happens to it and to its neighbours."""

import asyncio
import json
import math
import os
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import topics
from contracts.block import Delivery, pack
from contracts.control import ControlView, IdKind
from contracts.errors import BrokerUnavailable
from contracts.headers import MK_COUNT, MK_SIZE
from contracts.hybrid import HybridPrivateKey
from contracts.sealing import NO_TENANT, RecordOpener
from contracts.signing import RIGHTS_BY_PROCESS, KnownSigner, Signer
from router.endings import RecordEndings
from router.open import RawRecord, Signers
from router.outbox import Posted
from router.pacing import InFlight
from router.partition import RawPartition
from router.route import BREATH_ITEMS, RecordRouter, Underway
from router.split.item import AccountKey, BadItem, Item
from runtime.clock import SystemClock
from runtime.epochs import EpochSource
from tests.unit.router.scene import NOW_MS, PAGE, ROUTING_KEY, account, announce, item, tenant, view

RAW_KEY = HybridPrivateKey.generate()
INGEST = Signer.from_bytes("ingest", b"i" * 32)
CLOCK = SystemClock()

FATES = ("event", "unknown", "late", "bad", "defect", "old", "no_consent")
WITHDRAWN = AccountKey(IdKind.PAGE, "7002")
UNKNOWN = AccountKey(IdKind.PAGE, "7003")
LATE = AccountKey(IdKind.PAGE, "7004")
BROKEN = AccountKey(IdKind.PAGE, "7005")


def records() -> list[Any]:
    """What control says before it is caught up with."""
    return [
        tenant(),
        account([(IdKind.PAGE, "7001"), (IdKind.PAGE, "7005")], name="a"),
        account([(IdKind.PAGE, "7002")], consent="withdrawn", name="b"),
    ]


class Control:
    """Announces the late account when it is read to its end; fails as often as it is told to."""

    def __init__(self, failures: int) -> None:
        self.view: ControlView = view(*records())
        self._failures = failures

    current_as_of = -math.inf

    async def catch_up(self, timeout_s: float = 5.0) -> None:
        await asyncio.sleep(0)
        if self._failures > 0:
            self._failures -= 1
            raise BrokerUnavailable("away")
        announce(self.view, account([(IdKind.PAGE, "7004")], name="c"))


class Outboxes:
    """Keeps what it is given until it is told to publish."""

    def __init__(self) -> None:
        self.posted: list[Posted] = []

    def put(self, tenant: UUID, posted: Posted) -> None:
        self.posted.append(posted)


def split(body: bytes) -> Sequence[Item | BadItem]:
    """A delivery is a list of fates; the fate `crash` takes the whole delivery."""
    fates = json.loads(body)
    if "crash" in fates:
        raise RuntimeError("a bug in splitting")
    keys = {"event": PAGE, "unknown": UNKNOWN, "late": LATE, "defect": BROKEN, "no_consent": WITHDRAWN}
    return [
        BadItem(f"entry[{at}]", "contract_violation")
        if fate == "bad"
        else item(
            keys.get(fate, PAGE),
            path=f"entry[{at}]",
            native_id=fate,
            occurred_at_ms=0 if fate == "old" else None,
        )
        for at, fate in enumerate(fates)
    ]


async def nothing_new() -> None:
    """No key came since."""


def scope_of(one: Item) -> str:
    """A bug for the items that are to be defects."""
    if one.native_id == "defect":
        raise KeyError("a bug in one item's code")
    return "messaging"


def record(deliveries: Sequence[Sequence[str]], offset: int = 0) -> RawRecord:
    """A sealed block."""
    compressed, size = pack([Delivery("main", NOW_MS, json.dumps(fates).encode()) for fates in deliveries])
    headers = [(MK_COUNT, b"%d" % len(deliveries)), (MK_SIZE, b"%d" % size)]
    until = CLOCK.now() + timedelta(days=1)
    value, headers = EpochSource(INGEST, CLOCK).seal(
        topics.RAW, NO_TENANT, (RAW_KEY.public, until), compressed, headers
    )
    return RawRecord(topics.RAW, 0, offset, int(CLOCK.now().timestamp() * 1000), value, tuple(headers))


def expected(deliveries: Sequence[Sequence[str]]) -> dict[str, int]:
    """Items by ending."""
    ends = {
        "event": "event", "late": "event", "unknown": "unknown_account", "bad": "contract_violation",
        "defect": "defect", "old": "time_out_of_range", "no_consent": "no_consent",
    }  # fmt: skip
    counted: dict[str, int] = {}
    for fates in deliveries:
        for end in (
            ["defect"] if "crash" in fates else [ends[fate] for fate in fates] or ["contract_violation"]
        ):
            counted[end] = counted.get(end, 0) + 1
    return counted


DELIVERIES = st.lists(
    st.lists(st.sampled_from([*FATES, "event", "event", "crash"]), max_size=6), min_size=1, max_size=5
)


@settings(max_examples=80, deadline=None)
@given(DELIVERIES, st.integers(0, 1), st.randoms(use_true_random=False))
def test_every_item_ends_exactly_once_and_the_line_balances(
    deliveries: list[list[str]], failures: int, chance: Any
) -> None:
    completed: list[RecordEndings] = []

    async def run() -> None:
        known = {"ingest": KnownSigner("ingest", INGEST.public_raw, RIGHTS_BY_PROCESS["ingest"])}
        signers = Signers(known.get)
        outboxes, in_flight = Outboxes(), InFlight()
        tasks: list[asyncio.Task[None]] = []

        def start(_name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
            tasks.append(asyncio.create_task(work))
            return tasks[-1]

        router = RecordRouter(
            control=Control(failures),
            opener=RecordOpener({RAW_KEY.public.key_id: RAW_KEY}.get, signers),
            signers=signers,
            reload_keys=nothing_new,
            split=split,
            scope_of=scope_of,
            routing_key=lambda: ROUTING_KEY,
            outboxes=outboxes,
            clock=CLOCK,
            start=start,
            in_flight=in_flight,
            on_complete=completed.append,
        )
        underway = Underway()
        await router.route(record(deliveries), underway)
        await asyncio.gather(*tasks)
        assert not underway.accounts
        chance.shuffle(outboxes.posted)
        for posted in outboxes.posted:
            assert not completed
            posted.endings.published((posted.number,), UUID(int=1))
        assert in_flight.items == 0

    asyncio.run(run())
    (endings,) = completed
    line = endings.line()
    assert line.ended() == line.items
    counted: dict[str, int] = {}
    for counts in line.tenants.values():
        for reason, count in (*counts.quarantined.items(), *counts.refused.items(), ("event", counts.events)):
            counted[reason] = counted.get(reason, 0) + count
    assert {reason: count for reason, count in counted.items() if count} == expected(deliveries)
    assert len(endings.bad) == sum(sum(one.quarantined.values()) for one in line.tenants.values())


def test_an_account_that_is_connected_meanwhile_does_not_overtake_itself() -> None:
    """Its first item waits for control; control arrives between two turns of the loop, before its last item is looked at."""

    async def run() -> list[Posted]:
        known = {"ingest": KnownSigner("ingest", INGEST.public_raw, RIGHTS_BY_PROCESS["ingest"])}
        signers = Signers(known.get)
        outboxes, control = Outboxes(), Control(0)
        tasks: list[asyncio.Task[None]] = []

        def start(_name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
            tasks.append(asyncio.create_task(work))
            return tasks[-1]

        router = RecordRouter(
            control=control,
            opener=RecordOpener({RAW_KEY.public.key_id: RAW_KEY}.get, signers),
            signers=signers,
            reload_keys=nothing_new,
            split=split,
            scope_of=scope_of,
            routing_key=lambda: ROUTING_KEY,
            outboxes=outboxes,
            clock=CLOCK,
            start=start,
            in_flight=InFlight(),
            on_complete=lambda _endings: None,
        )
        turn = ["event"] * BREATH_ITEMS
        connecting = asyncio.create_task(control.catch_up())
        await router.route(record([["late", *turn], turn, ["late"]]), Underway())
        await asyncio.gather(connecting, *tasks)
        return outboxes.posted

    late = [posted.path for posted in asyncio.run(run()) if posted.item and posted.item.account == LATE]
    assert late == ["deliveries[0].entry[0]", "deliveries[2].entry[0]"]


@pytest.mark.parametrize(
    ("fetched_at", "waits"), [(9.0, False), (10.0, False), (10.1, True), (math.inf, True)]
)
def test_a_stranger_waits_for_control_only_if_it_came_after_the_last_look_at_it(
    fetched_at: float, waits: bool
) -> None:
    """Else a flood of strangers would move at the pace of one look a second and fill everybody's room meanwhile."""

    async def run() -> int:
        known = {"ingest": KnownSigner("ingest", INGEST.public_raw, RIGHTS_BY_PROCESS["ingest"])}
        signers = Signers(known.get)
        control = Control(0)
        control.current_as_of = 10.0
        tasks: list[asyncio.Task[None]] = []
        completed: list[RecordEndings] = []

        def start(_name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
            tasks.append(asyncio.create_task(work))
            return tasks[-1]

        router = RecordRouter(
            control=control,
            opener=RecordOpener({RAW_KEY.public.key_id: RAW_KEY}.get, signers),
            signers=signers,
            reload_keys=nothing_new,
            split=split,
            scope_of=scope_of,
            routing_key=lambda: ROUTING_KEY,
            outboxes=Outboxes(),
            clock=CLOCK,
            start=start,
            in_flight=InFlight(),
            on_complete=completed.append,
        )
        await router.route(replace(record([["unknown"]]), fetched_at=fetched_at), Underway())
        await asyncio.gather(*tasks)
        (endings,) = completed
        assert endings.tenants[""].refused == {"unknown_account": 1}
        return len(tasks)

    assert asyncio.run(run()) == waits


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=25), st.randoms(use_true_random=False))
def test_the_offset_to_commit_never_passes_an_unfinished_record(gaps: list[int], chance: Any) -> None:
    """Offsets may have gaps; records finish in any order while others begin."""
    partition = RawPartition(0)
    offsets, at = [], 0
    for gap in gaps:
        at += gap
        offsets.append(at)
    plain = [RawRecord(topics.RAW, 0, offset, 0, os.urandom(1), ()) for offset in offsets]
    partition.add(plain)
    open_: list[int] = []
    for _ in range(2 * len(plain)):
        if partition.queue and (not open_ or chance.random() < 0.5):
            head = partition.queue[0]
            partition.begin(head)
            open_.append(head.offset)
        elif open_:
            partition.tracker.finish(open_.pop(chance.randrange(len(open_))))
        unfinished = [*open_, *(one.offset for one in partition.queue)]
        commit = partition.tracker.commit
        assert commit is None or all(commit <= offset for offset in unfinished)
    assert partition.tracker.commit == offsets[-1] + 1
