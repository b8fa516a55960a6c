"""The receiver's life: start, serve, watch its files, drain. DESIGN.md sections 4 and 8."""

from __future__ import annotations

import asyncio
import errno
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts import metrics
from contracts.errors import InvalidSettings
from contracts.key_file import RAW_KEYS, REQUEST_KEYS
from ingest.apps import Apps, load_apps
from ingest.callbacks import Callbacks, RequestSender
from ingest.connection import ConnectionServer
from ingest.counts import Counts
from ingest.keyring import Keyring
from ingest.memory import Trim, bound_heaps
from ingest.publish import BlockPublisher
from ingest.receive import Receiver, require_c_parser
from ingest.settings import IngestSettings
from ingest.watch import Watched
from runtime.clock import SystemClock
from runtime.epochs import EpochSource
from runtime.http.health import HealthServer
from runtime.kafka.clients import Producer
from runtime.lifecycle import Supervisor
from runtime.logging import get_logger
from runtime.metrics import ProcessMetrics

_WATCH_S = 1.0
_FLUSH_S = 3.0


async def serve(settings: IngestSettings, supervisor: Supervisor) -> None:
    """Serve until told to stop; returns after draining. Raises InvalidSettings or FatalError at start."""
    # 1. What must be right before anything listens.
    require_c_parser()
    bound_heaps()
    signer, clock = settings.signer(), SystemClock()
    apps: Watched[Apps] = Watched("apps", lambda: load_apps(settings.apps_file, "MKC_INGEST_APPS_FILE"))
    keyring = Keyring("raw_keys", RAW_KEYS, settings.raw_keys_file, settings.router(), clock)
    request_keyring = Keyring(
        "request_keys", REQUEST_KEYS, settings.request_keys_file, settings.custodian(), clock
    )
    process = ProcessMetrics("ingest")
    counts = Counts(process)
    # 2. The parts.
    producer = Producer(settings.kafka, "mk-ingest", tls=settings.kafka_tls)
    epochs = EpochSource(signer, clock)
    publisher = BlockPublisher(
        producer,
        epochs,
        keyring.recipient,
        counts,
        partitions=settings.raw_partitions,
        limits=settings.queue_limits(),
        fail=supervisor.fail,
    )
    requests = RequestSender(
        producer,
        epochs,
        request_keyring.recipient,
        deadline_s=settings.answer_deadline_s,
        fail=supervisor.fail,
    )
    callbacks = Callbacks(
        apps.value,
        requests,
        counts,
        page_url=settings.erasure_page_url,
        per_s=settings.callbacks_per_s,
    )
    receiver = Receiver(apps.value, publisher, counts, settings.body_limits(), callbacks)
    server = ConnectionServer(receiver, counts, settings.connection_limits())

    def readiness() -> dict[str, bool]:
        return {
            "kafka": publisher.available(),
            "sealing_key": keyring.recipient() is not None,
            "secrets": bool(apps.value),
            "accepting": not receiver.draining,
        }

    def measure() -> None:
        counts.carry_over()
        process.gauge(metrics.INGEST_QUEUE_AGE).set(publisher.oldest_age_s())
        process.gauge(metrics.INGEST_CONNECTIONS).set(server.open_connections())
        process.gauge(metrics.INGEST_KEY_LEFT).set(keyring.left_s())
        process.gauge(metrics.INGEST_REQUEST_KEY_LEFT).set(request_keyring.left_s())

    health = HealthServer(settings.health_host, settings.health_port, process, readiness)
    health.before_scrape.append(measure)
    log = get_logger()
    async with health:
        async with _listening(settings, server):
            # 3. Kafka may be away: handshakes are answered, deliveries get 503 until it is there.
            supervisor.start("publisher", publisher.run())
            supervisor.start("files", _watch(apps, receiver, keyring, request_keyring))
            supervisor.start("memory", _trim(receiver, publisher))
            gc.collect()
            gc.freeze()
            gc.set_threshold(50_000, 20, 20)
            log.info("ingest.started", **settings.summary())
            await supervisor.stopping.wait()
            # 4. No new connection, an answer to what is under way, an end to every open connection.
            receiver.draining = True
        await server.drain(settings.drain_s)
        drained = await publisher.drain(_FLUSH_S)
        await asyncio.wait([asyncio.ensure_future(producer.stop())], timeout=_FLUSH_S)
        log.info("ingest.drained", outcome="complete" if drained else "deadline")


@asynccontextmanager
async def _listening(settings: IngestSettings, server: ConnectionServer) -> AsyncIterator[None]:
    try:
        listener = await asyncio.get_running_loop().create_server(
            server, settings.host, settings.port, backlog=1024, reuse_port=settings.reuse_port or None
        )
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            raise InvalidSettings(
                f"MKC_INGEST_PORT: port {settings.port} is in use; stop what uses it or choose another"
            ) from exc
        raise InvalidSettings("MKC_INGEST_HOST, MKC_INGEST_PORT: cannot listen there") from exc
    server.start_sweeping()
    try:
        yield
    finally:
        listener.close()


async def _watch(apps: Watched[Apps], receiver: Receiver, *keyrings: Keyring) -> None:
    while True:
        await asyncio.sleep(_WATCH_S)
        for keyring in keyrings:
            keyring.refresh()
        if apps.poll():
            receiver.use(apps.value)


async def _trim(receiver: Receiver, publisher: BlockPublisher) -> None:
    trim = Trim()
    while True:
        await asyncio.sleep(_WATCH_S)
        if receiver.take_large_seen():
            trim.large_seen()
        trim.tend(is_quiet=not publisher.large_blocks)
