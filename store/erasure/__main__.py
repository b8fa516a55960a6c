"""`python -m store.erasure`: the erasure consumer. Reads requests into job rows and drives every row to its end.

Two may run: a session lock lets one act, the other stands by and takes over when that session ends. The lock only saves
double work; what holds if both act for a moment is that every step takes effect once (docs/erasure.md).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from contracts.control import ControlView
from contracts.erasure_metrics import (
    ERASURE_ACTING,
    ERASURE_FENCES_APPLIED,
    ERASURE_GATE_OPEN,
    ERASURE_GATE_REFUSALS,
    ERASURE_PROVIDER_UP,
)
from contracts.errors import TransientError
from contracts.topics import ERASURE_FENCES, ERASURE_OUTCOMES
from runtime import logging
from runtime.clock import SystemClock
from runtime.epochs import EpochSource
from runtime.http.health import HealthServer
from runtime.kafka.clients import Producer
from runtime.kafka.control import ControlReader
from runtime.kafka.topic_log import TopicLog
from runtime.key_watch import watch_keys
from runtime.lifecycle import Supervisor, run
from runtime.metrics import ProcessMetrics
from runtime.secrets import secrets_from
from runtime.settings import load
from store.audit.sequencer import Sequencer
from store.audit.standing import LogDoubted
from store.database import connected, translated
from store.erasure.answers.answer import Answerer
from store.erasure.answers.observe import Ages, Cluster
from store.erasure.answers.survey import Surveyor
from store.erasure.at_meta.deletion import AtMeta
from store.erasure.at_meta.details import DetailKeys
from store.erasure.at_meta.graph import GraphApi, Tokens
from store.erasure.clocks import BrokerClock
from store.erasure.drive import Driver
from store.erasure.equipment import Tools
from store.erasure.jobs import SQL
from store.erasure.measure import measure
from store.erasure.recovery.rebuild import Rebuilder
from store.erasure.requests.consume import RequestConsumer
from store.erasure.requests.opening import RequestOpener
from store.erasure.settings import ErasureSettings
from store.erasure.telling.acknowledged import Acknowledgements
from store.erasure.telling.log_ends import LogEnds
from store.erasure.telling.reader_groups import ReaderGroups
from store.erasure.upkeep import Upkeep
from store.keys.settings import provider_from
from store.lanes.gate import FenceGate, GateMetrics
from store.lanes.keks import TenantKeks
from store.lanes.positions import check_schema_version
from store.migrate import known
from store.settings import read_control_signers

if TYPE_CHECKING:
    from store.database import Connection

ACTING_LOCK: Final = 0x6D6B_0003
"""The session advisory lock of whoever acts as the erasure consumer."""
NOTIFY_CHANNEL: Final = "mk_erasure"
"""An operator who changes a row says so here."""
_TRY_EVERY_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 5.0
_LIVED_S: Final = 30.0
"""What ran so long had nothing to do with the failure before: the next pause is a short one again."""
_FORGET_KEYS_EVERY_S: Final = 3_600.0


@dataclass(slots=True)
class State:
    """What readiness depends on."""

    control: bool = False
    database: bool = False
    keys: bool = True
    audit: bool = True
    acting: bool = False
    standby: bool = False
    consumer: RequestConsumer | None = None
    gate: FenceGate | None = None

    def conditions(self) -> dict[str, bool]:
        """A standby reads nothing and is ready all the same."""
        return {
            "database": self.database,
            "control": self.control,
            "keys": self.keys,
            "audit": self.audit,
            "fences": self.standby or (self.gate is not None and self.gate.is_open),
            "requests": self.standby or (self.consumer is not None and self.consumer.is_reading),
        }


@dataclass(frozen=True, slots=True)
class _Parts:
    """What is made once for the process."""

    dsn: str
    driver: Driver
    consumer: RequestConsumer
    tools: Tools
    at_meta: AtMeta
    acknowledgements: Acknowledgements
    rebuilder: Rebuilder
    sequencer: Sequencer
    state: State


@asynccontextmanager
async def _clients(
    settings: ErasureSettings, supervisor: Supervisor, metrics: ProcessMetrics, state: State
) -> AsyncIterator[_Parts]:
    """Kafka's clients and what works with them, after control was read to its end. Raises BrokerUnavailable."""
    tls, signer, clock = settings.kafka_tls, settings.signer(), SystemClock()
    view = ControlView(read_control_signers(settings.control_signers_file))
    provider = provider_from(settings, settings.keyring_secrets_dir)
    dsn = settings.database.get_secret_value()

    def provider_changed(is_up: bool) -> None:
        state.keys = is_up
        metrics.gauge(ERASURE_PROVIDER_UP).set(is_up)

    async with AsyncExitStack() as stack:
        stack.push_async_callback(provider.close)
        producer = Producer(settings.kafka, "mk-erasure", tls=tls)
        await producer.start()
        stack.push_async_callback(producer.stop)
        control = ControlReader(settings.kafka, "mk-erasure-control", view, metrics, tls)
        stack.push_async_callback(control.stop)
        await control.start(supervisor)
        state.control = True
        log_ends = LogEnds(settings.kafka, "mk-erasure-ends", tls)
        stack.push_async_callback(log_ends.stop)
        groups = ReaderGroups(settings.kafka, "mk-erasure-readers", tls)
        stack.push_async_callback(groups.stop)
        secrets = secrets_from(settings, "erasure", settings.secrets_dir)
        stack.push_async_callback(secrets.close)
        opener = RequestOpener(secrets, view)
        control.listeners.append(opener.control_applied)
        keks = TenantKeks(provider)
        # Each worker replaces the connection by its own.
        connection = await stack.enter_async_context(connected(dsn, "mk-erasure"))
        details = DetailKeys(secrets)
        graph = GraphApi(settings.meta_url)
        stack.push_async_callback(graph.close)
        at_meta = AtMeta(details, Tokens(settings.meta_tokens_dir), graph, view, clock, metrics)
        tools = Tools(
            connection,
            producer,
            signer,
            EpochSource(signer, clock),
            view,
            keks,
            log_ends,
            clock,
            metrics,
            restricted_for=timedelta(hours=settings.restricted_hours),
            at_meta=at_meta,
            clocks=BrokerClock(timedelta(seconds=settings.clock_limit_s)),
        )

        outcomes = TopicLog(settings.kafka, "mk-erasure-outcomes", ERASURE_OUTCOMES, tls)
        stack.push_async_callback(outcomes.stop)
        rebuilder, state.gate = await _restore_gate(stack, settings, control, metrics, outcomes)

        @asynccontextmanager
        async def connect() -> AsyncIterator[Connection]:
            async with connected(dsn, "mk-erasure-worker") as connection:
                await rebuilder.admit(connection)
                yield connection

        sequencer = Sequencer(dsn, settings.kafka, producer, signer, view.signer, outcomes, metrics, tls)
        ages = Ages(
            timedelta(days=settings.root_epoch_days),
            timedelta(days=settings.backups_kept_days),
            provider.destroy_delay,
        )
        surveyor = Surveyor(Cluster(settings.kafka, tls), ages)
        answerer = Answerer(settings.receipt_signer(), sequencer.wake, surveyor.survey)
        driver = Driver(tools, connect, answerer.answer, settings.workers)
        consumer = RequestConsumer(settings.kafka, tools, opener, control, driver.offer, tls)
        state.consumer = consumer
        watch = supervisor.start("key provider", watch_keys(provider.status, provider_changed))
        forget = supervisor.start("forget", _forget_keys(opener, keks))
        audit = supervisor.start("audit", sequencer.run())
        try:
            acknowledgements = Acknowledgements(tools, groups)
            yield _Parts(dsn, driver, consumer, tools, at_meta, acknowledgements, rebuilder, sequencer, state)
        finally:
            state.consumer = state.gate = None
            watch.cancel()
            forget.cancel()
            audit.cancel()
            await asyncio.gather(audit, return_exceptions=True)


async def _restore_gate(
    stack: AsyncExitStack,
    settings: ErasureSettings,
    control: ControlReader,
    metrics: ProcessMetrics,
    outcomes: TopicLog,
) -> tuple[Rebuilder, FenceGate]:
    """What each new connection goes through: the database may be one that was just put back from a backup."""
    fences = TopicLog(settings.kafka, "mk-erasure-fences", ERASURE_FENCES, settings.kafka_tls)
    stack.push_async_callback(fences.stop)
    counts = GateMetrics.of(metrics, ERASURE_FENCES_APPLIED, ERASURE_GATE_OPEN, ERASURE_GATE_REFUSALS)
    signers = control.view.signer
    gate = FenceGate(fences, signers, control.catch_up, "mk_erasure", counts)
    return Rebuilder(gate, outcomes, signers, settings.signer().name), gate


async def _act(parts: _Parts, stopping: asyncio.Event) -> None:
    """Stand by until nobody else acts, then act until told to stop. Raises TransientError when a connection is lost."""
    state, acting = parts.state, parts.tools.metrics.gauge(ERASURE_ACTING)
    async with connected(parts.dsn, "mk-erasure-acting") as connection:
        while True:
            with translated():
                state.acting = bool(await connection.fetchval(SQL["try_acting"], ACTING_LOCK))
            state.database, state.standby = True, not state.acting
            acting.set(state.acting)
            if state.acting:
                break
            await _first_of(stopping.wait(), timeout_s=_TRY_EVERY_S)
            if stopping.is_set():
                return

        await _first_of(stopping.wait(), parts.sequencer.admit(connection))
        if stopping.is_set():
            return
        state.audit = True
        await parts.rebuilder.admit(connection)

        def notified(*_ignored: Any) -> None:
            parts.driver.wake()

        with translated():
            await connection.add_listener(NOTIFY_CHANNEL, notified)
        async with (
            connected(parts.dsn, "mk-erasure-requests") as reading,
            connected(parts.dsn, "mk-erasure-measure") as measuring,
            connected(parts.dsn, "mk-erasure-upkeep") as tending,
            connected(parts.dsn, "mk-erasure-meta") as asking,
            connected(parts.dsn, "mk-erasure-readers") as looking,
        ):
            upkeep = Upkeep(parts.driver.offer, parts.tools)
            await _first_of(
                stopping.wait(),
                parts.sequencer.doubt(),
                parts.driver.run(connection),
                parts.consumer.run(reading),
                measure(measuring, parts.tools),
                upkeep.run(tending),
                parts.at_meta.run(asking),
                parts.acknowledgements.run(looking),
            )


async def _first_of(*works: Coroutine[Any, Any, Any], timeout_s: float | None = None) -> None:
    """Run all until one ends, cancel the others, and raise what ended it."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _check_schema(settings: ErasureSettings) -> None:
    """Raises SchemaIncompatible, or DatabaseUnavailable."""
    await check_schema_version(
        settings.database.get_secret_value(), [migration.number for migration in known()]
    )


async def _forget_keys(opener: RequestOpener, keks: TenantKeks) -> None:
    while True:
        await asyncio.sleep(_FORGET_KEYS_EVERY_S)
        await opener.forget_destroyed()
        keks.forget_unused(_FORGET_KEYS_EVERY_S)


async def serve(supervisor: Supervisor) -> None:
    """Run until told to stop. Kafka or Postgres away is waited for: the process stays up, not ready."""
    settings = load(ErasureSettings)
    settings.signer()
    settings.receipt_signer()
    read_control_signers(settings.control_signers_file)
    metrics, state, clock = ProcessMetrics("erasure"), State(), SystemClock()
    log = logging.get_logger()
    async with HealthServer(settings.health_host, settings.health_port, metrics, state.conditions) as health:
        health.before_scrape.append(lambda: metrics.gauge(ERASURE_ACTING).set(state.acting))
        log.info("process.started", **settings.summary())
        pause_s, began_s = 0.1, 0.0
        while not supervisor.stopping.is_set():
            began_s = clock.monotonic()
            try:
                await _check_schema(settings)
                async with _clients(settings, supervisor, metrics, state) as parts:
                    while not supervisor.stopping.is_set():
                        await _act(parts, supervisor.stopping)
            except TransientError as exc:
                state.audit = not isinstance(exc, LogDoubted)
                state.control = state.database = state.acting = state.standby = False
                if clock.monotonic() - began_s > _LIVED_S:
                    pause_s = 0.1
                log.warning("erasure.waited", exc=exc, wait_s=pause_s)
                await _first_of(supervisor.stopping.wait(), timeout_s=pause_s)
                pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)


if __name__ == "__main__":
    sys.exit(run("erasure", serve))
