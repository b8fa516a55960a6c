"""The router's command: reads settings, puts the concrete parts together, runs until told to stop."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable
from typing import Final

from contracts import topics
from contracts.control import ControlView, SignerRecord
from contracts.errors import KeyServiceUnavailable, TransientError
from contracts.events.registry import EVENT_TYPES
from contracts.metrics import ROUTER_PROVIDER_UP
from contracts.sealing import RecordOpener
from contracts.signing import RIGHTS_BY_PROCESS, KnownSigner
from router.consume import ASK_S, RawConsumer
from router.endings import RecordEndings
from router.events import Types
from router.finish import Finisher
from router.observe import Observer
from router.open import Signers
from router.outbox import OutboxParts
from router.pacing import InFlight, backoff_s
from router.publish import TenantOutboxes
from router.put_back import PutBack
from router.raw_keys import Keyring, RawKeyMaker
from router.requests import ErasureRequests
from router.route import RecordRouter
from router.routing_key import RoutingKey
from router.settings import RouterSettings
from router.split.delivery import split
from router.split.requests import scope_of
from runtime import logging
from runtime.clock import SystemClock
from runtime.epochs import EpochSource
from runtime.http.health import HealthServer
from runtime.kafka.clients import Producer, consumer
from runtime.kafka.control import ControlReader
from runtime.key_watch import watch_keys
from runtime.lifecycle import Supervisor, run
from runtime.metrics import ProcessMetrics
from runtime.settings import load

KEYS_EVERY_S: Final = 60.0
FETCH_BYTES: Final = topics.MIB // 2
"""Of one partition at a time; Kafka still hands out a single larger record."""
COLLECT: Final = (100_000, 20, 50)
"""Garbage collector thresholds: items are many and short-lived, and hold no cycles. What is in flight must fit below the first,
or the collector walks it again and again: at 20,000 that was a seventh of all the time."""


async def main(supervisor: Supervisor) -> None:
    """Run the router."""
    settings = load(RouterSettings)
    signer, pinned = settings.signer(), settings.pinned()
    secrets = settings.secrets()
    clock = SystemClock()
    metrics = ProcessMetrics("router")
    tls = settings.kafka_tls
    control = ControlReader(settings.kafka, "mk-router-control", ControlView(pinned), metrics, tls)
    me = KnownSigner(signer.name, signer.public_raw, RIGHTS_BY_PROCESS["router"])

    def known(name: str) -> KnownSigner | None:
        return me if name == me.name else control.view.signer(name)

    keyring, routing_key = Keyring(secrets), RoutingKey(secrets)
    opener = RecordOpener(keyring.get, known_signers := Signers(known))
    control.listeners.append(lambda record: opener.forget() if isinstance(record, SignerRecord) else None)
    events = Producer(settings.kafka, "mk-router-events", tls=tls)
    records = Producer(settings.kafka, "mk-router-records", tls=tls)
    epochs = EpochSource(signer, clock)
    in_flight = InFlight()
    observer = Observer(metrics, clock)
    requests = ErasureRequests(records, control.view, epochs, clock, observer.request_written)
    put_back = PutBack(settings.kafka, records, signer, known, lambda: outboxes, tls)
    outboxes = TenantOutboxes(
        OutboxParts(
            producer=events,
            view=control.view,
            secrets=secrets,
            epochs=epochs,
            clock=clock,
            requests=requests,
            types=Types({name: kind.dataschema.encode() for name, kind in EVENT_TYPES.items()}),
            in_flight=in_flight,
            unavailable_after_s=settings.tenant_unavailable_after_s,
            on_published=observer.events_published,
            on_recovered=put_back.recovered,
        ),
        supervisor,
    )
    reader: RawConsumer

    def finished(endings: RecordEndings) -> None:
        reader.finished(endings)

    finisher = Finisher(records, signer, finished, put_back.set_aside)
    router = RecordRouter(
        control=control,
        opener=opener,
        signers=known_signers,
        reload_keys=keyring.reload,
        split=split,
        scope_of=scope_of,
        routing_key=routing_key,
        outboxes=outboxes,
        clock=clock,
        start=supervisor.start,
        in_flight=in_flight,
        on_complete=finisher.completed,
        on_unknown=observer.unknown_routed,
    )
    maker = RawKeyMaker(secrets, settings.raw_keys_file, signer)
    holds_first = asyncio.Event()

    async def tend_keys() -> None:
        while True:
            await holds_first.wait()
            try:
                if await maker.tend(clock.now()):
                    await keyring.reload()
                    opener.forget()
            except KeyServiceUnavailable as exc:
                # Keys are made three days ahead: the next turn is early enough, and its absence shows.
                logging.get_logger().error("keys.waiting", exc=exc)
            await asyncio.sleep(KEYS_EVERY_S)

    def assigned(numbers: frozenset[int]) -> None:
        if 0 in numbers:
            holds_first.set()
        else:
            holds_first.clear()

    reader = RawConsumer(
        lambda: consumer(
            settings.kafka, "mk-router", group=settings.group, tls=tls, max_partition_fetch_bytes=FETCH_BYTES
        ),
        records,
        router,
        supervisor,
        clock,
        in_flight=in_flight,
        drain_s=settings.drain_s,
        on_finished=observer.record_finished,
        on_assigned=assigned,
    )
    started = asyncio.Event()

    async def follow_control() -> None:
        try:
            await control.start(supervisor)
        except TransientError:
            await control.stop()
            raise

    keys_up = True

    def keys_changed(is_up: bool) -> None:
        nonlocal keys_up
        keys_up = is_up
        metrics.gauge(ROUTER_PROVIDER_UP).set(is_up)

    def readiness() -> dict[str, bool]:
        return {
            "kafka": started.is_set()
            and events.alive
            and records.alive
            and clock.monotonic() - reader.answered_at < 3 * ASK_S,
            "control": started.is_set(),
            "keys": keys_up,
            "raw_keys": maker.published(clock.now()),
        }

    async with HealthServer(settings.health_host, settings.health_port, metrics, readiness) as health:
        health.before_scrape.append(lambda: observer.look_at(reader.partitions.values()))
        try:
            for connect in (
                routing_key.read,
                keyring.reload,
                follow_control,
                events.start,
                records.start,
                reader.start,
            ):
                await _connect(connect, supervisor)
            if supervisor.stopping.is_set():
                return
            started.set()
            gc.freeze()
            gc.set_threshold(*COLLECT)
            logging.get_logger().info("process.started", **settings.summary())
            supervisor.start("watch", reader.watch())
            supervisor.start("finish", finisher.run())
            supervisor.start("replays", put_back.run())
            supervisor.start("requests", requests.run())
            supervisor.start("keys", tend_keys())
            supervisor.start("key provider", watch_keys(secrets.secret_names, keys_changed))
            await reader.run()
        finally:
            await asyncio.gather(
                reader.stop(),
                events.stop(),
                records.stop(),
                control.stop(),
                secrets.close(),
                return_exceptions=True,
            )


async def _connect(start: Callable[[], Awaitable[None]], supervisor: Supervisor) -> None:
    """Until Kafka, or what keeps the keys, answers: a process that starts while it is away waits and is not ready."""
    attempt = 0
    while not supervisor.stopping.is_set():
        try:
            await start()
            return
        except TransientError as exc:
            if attempt in (0, 10):
                logging.get_logger().warning("start.waiting", exc=exc)
            await asyncio.sleep(backoff_s(attempt, longest_s=2.0))
            attempt += 1


if __name__ == "__main__":
    sys.exit(run("router", main))
