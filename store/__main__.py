"""`python -m store`: opens tenants' events and persists them, encrypted per person. Wires what `store.lanes` declares."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Final

from contracts.control import ControlView
from contracts.errors import InvalidSettings, TransientError
from contracts.metrics import (
    STORE_FENCES_APPLIED,
    STORE_GATE_OPEN,
    STORE_GATE_REFUSALS,
    STORE_LANES,
    STORE_OLDEST,
    STORE_PROVIDER_UP,
)
from contracts.signing import Signer
from contracts.topics import ERASURE_FENCES
from runtime import logging
from runtime.clock import SystemClock
from runtime.files import read_secret
from runtime.http.health import HealthServer
from runtime.kafka.clients import Producer
from runtime.kafka.control import ControlReader
from runtime.kafka.topic_log import TopicLog
from runtime.key_watch import watch_keys
from runtime.lifecycle import Supervisor, run
from runtime.metrics import ProcessMetrics
from runtime.settings import load
from store.keys.settings import provider_from
from store.lanes.consents import Consents
from store.lanes.consume import LaneConsumer
from store.lanes.event_types import known_type
from store.lanes.gate import FenceGate, GateMetrics
from store.lanes.keks import TenantKeks
from store.lanes.lane import Limits
from store.lanes.opening import TenantOpener
from store.lanes.persist import Persister
from store.lanes.positions import Placing, check_schema_version
from store.lanes.quarantine import Quarantine
from store.lanes.workers import Availability, Rounds, Worker
from store.settings import StoreSettings, read_control_signers

COLLECT: Final = (100_000, 20, 20)
"""Garbage collector thresholds: a record is some twenty short-lived containers, and holds no cycle."""
_FORGET_KEYS_EVERY_S: Final = 3_600.0


def migration_numbers() -> list[int]:
    """The migrations that this code was built with, ascending."""
    folder = resources.files("store").joinpath("migrations")
    return sorted(int(entry.name.split("_")[0]) for entry in folder.iterdir() if entry.name.endswith(".sql"))


async def _until(attempt: Callable[[], Awaitable[None]], event: str, supervisor: Supervisor) -> None:
    """Try until it works: Kafka or Postgres away at the start is waited for, and the process stays up, not ready."""
    pause_s = 0.1
    while not supervisor.stopping.is_set():
        try:
            await attempt()
        except TransientError as exc:
            logging.get_logger().warning(event, exc=exc, wait_s=pause_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(supervisor.stopping.wait(), pause_s)
            pause_s = min(2.0, pause_s * 2)
        else:
            return


async def serve(supervisor: Supervisor) -> None:
    """Run until told to stop, then drain."""
    settings = load(StoreSettings)
    log = logging.get_logger()
    clock = SystemClock()
    metrics = ProcessMetrics("store")
    try:
        signer = Signer.from_bytes(
            "store", read_secret(settings.signing_key_file, "MKC_STORE_SIGNING_KEY_FILE")
        )
    except ValueError as exc:
        raise InvalidSettings("MKC_STORE_SIGNING_KEY_FILE: not a key of 32 bytes") from exc
    view = ControlView(read_control_signers(settings.control_signers_file))
    dsn = settings.database.get_secret_value()
    available = Availability()
    tls = settings.kafka_tls

    control = ControlReader(settings.kafka, "mk-store-control", view, metrics, tls)
    producer = Producer(settings.kafka, "mk-store", tls=tls)
    provider = provider_from(settings, settings.secrets_dir)
    opener = TenantOpener(provider, view, known_type)
    keks = TenantKeks(provider)
    persister = Persister(keks)
    provider_up = True
    quarantine = Quarantine(producer, signer, metrics, clock)
    rounds = Rounds(clock)
    limits = Limits(settings.lane_records, settings.lane_bytes, settings.batch_rows, settings.batch_bytes)
    lanes = LaneConsumer(settings.kafka, settings.group, view, rounds, limits, settings.buffer_bytes, tls)
    fences = TopicLog(settings.kafka, "mk-store-fences", ERASURE_FENCES, tls)
    gate_metrics = GateMetrics.of(metrics, STORE_FENCES_APPLIED, STORE_GATE_OPEN, STORE_GATE_REFUSALS)
    gate = FenceGate(fences, view.signer, control.catch_up, "mk_store", gate_metrics)
    placing = Placing(dsn, view, lanes, persister, producer, gate, metrics, clock)
    lanes.on_unplaced = placing.wake
    gate.new_databases.append(placing.doubt_positions)
    control.listeners += [opener.control_applied, placing.control_applied, lanes.control_applied]

    def gauges() -> None:
        now_s = clock.monotonic()
        counts = dict.fromkeys(STORE_LANES.labels["state"], 0)
        oldest_ms = None
        for lane in lanes.lanes.values():
            counts[lane.state(now_s)] += 1
            if lane.oldest_ms is not None:
                oldest_ms = lane.oldest_ms if oldest_ms is None else min(oldest_ms, lane.oldest_ms)
        for state, count in counts.items():
            metrics.gauge(STORE_LANES, state).set(count)
        age_s = 0.0 if oldest_ms is None else max(0.0, clock.now().timestamp() - oldest_ms / 1000)
        metrics.gauge(STORE_OLDEST).set(age_s)

    async def check_schema() -> None:
        """Raises SchemaIncompatible."""
        await check_schema_version(dsn, migration_numbers())
        available.database = True

    async def follow_control() -> None:
        try:
            await control.start(supervisor)
        except TransientError:
            await control.stop()
            raise

    health = HealthServer(
        settings.health_host,
        settings.health_port,
        metrics,
        lambda: {
            "control": control_read,
            "kafka": lanes.is_ready,
            "database": available.database,
            "keys": provider_up,
            "fences": gate.is_open,
        },
    )
    health.before_scrape.append(gauges)
    control_read = False

    def provider_changed(is_up: bool) -> None:
        nonlocal provider_up
        provider_up = is_up
        metrics.gauge(STORE_PROVIDER_UP).set(is_up)

    async with health:
        try:
            await _until(check_schema, "database.away", supervisor)
            await _until(producer.start, "kafka.away", supervisor)
            await _until(follow_control, "kafka.away", supervisor)
            if supervisor.stopping.is_set():
                return
            control_read = True
            workers = [
                supervisor.start(
                    f"worker-{number}",
                    Worker(
                        dsn,
                        rounds,
                        persister,
                        opener,
                        quarantine,
                        Consents(control),
                        metrics,
                        clock,
                        available,
                        gate,
                        lanes.lane_changed,
                        settings.statements_kept,
                    ).run(),
                )
                for number in range(settings.workers)
            ]
            supervisor.start("fences", gate.watch(dsn))
            supervisor.start("placing", placing.run(lanes.lanes))
            supervisor.start("forget", _forget_keys(opener, keks))
            supervisor.start("key provider", watch_keys(provider.status, provider_changed))
            reading = supervisor.start("lanes", lanes.run())
            # What stands now stays: the collector need not walk it again for every few thousand records.
            gc.collect()
            gc.freeze()
            gc.set_threshold(*COLLECT)
            log.info("process.started", **settings.summary())
            await supervisor.stopping.wait()
            lanes.is_stopping = True
            await _drain(lanes, settings.drain_s)
            for worker in workers:
                worker.cancel()
            await asyncio.wait([reading, *workers], timeout=2)
            await asyncio.wait([asyncio.ensure_future(lanes.close())], timeout=5)
        finally:
            await fences.stop()
            await producer.stop()
            await control.stop()
            await provider.close()


async def _drain(lanes: LaneConsumer, drain_s: float) -> None:
    """Until everything fetched is stored, or `drain_s` have passed."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + drain_s
    while loop.time() < deadline:
        # A lane that waits for something else than a worker would only be waited for in vain.
        if not any(lane.is_busy or lane.can_run(loop.time()) for lane in lanes.lanes.values()):
            return
        await asyncio.sleep(0.02)


async def _forget_keys(opener: TenantOpener, keks: TenantKeks) -> None:
    while True:
        await asyncio.sleep(_FORGET_KEYS_EVERY_S)
        await opener.forget_destroyed()
        keks.forget_unused(_FORGET_KEYS_EVERY_S)


if __name__ == "__main__":
    sys.exit(run("store", serve))
