"""`python -m store.custody`: the custodian. Starts whatever is missing, then goes round its duties.

Two may run; the session lock lets one act. Kafka or Postgres away is waited for, with growing pauses. Whoever asks for
something (`NOTIFY mk_custodian`: a new tenant, a missing partition) wakes it at once.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from contracts.errors import BrokerUnavailable, TransientError
from contracts.metrics import CUSTODIAN_PROVIDER_UP
from contracts.signing import KnownSigner, Signer
from contracts.topics import STATIC_TOPICS
from runtime import logging
from runtime.clock import SystemClock
from runtime.http.health import HealthServer
from runtime.kafka.clients import Producer
from runtime.kafka.topics import TopicAdmin
from runtime.key_watch import watch_keys
from runtime.lifecycle import Supervisor, run
from runtime.metrics import ProcessMetrics
from runtime.secrets import closing_all
from runtime.settings import load
from store.custody.access import permissions
from store.custody.control import Announced, ControlPublisher, signer_records
from store.custody.database import NOTIFY_CHANNEL, custody
from store.custody.duties import Duties, Tools
from store.custody.grants import GrantKeySender
from store.custody.request_keys import RequestKeyFile
from store.custody.settings import (
    CustodianSettings,
    load_control_signers,
    load_signer,
    require_pinned,
)
from store.database import connected, translated
from store.migrate import migrate

if TYPE_CHECKING:
    from store.database import Connection

QUICK_EVERY_S: Final = 1.0
FULL_EVERY_S: Final = 60.0
FULL_AGAIN_S: Final = 10.0
"""After a full pass in which something failed."""
LONGEST_PAUSE_S: Final = 5.0
FAILURES_BEFORE_RECONNECT: Final = 3
CONTROL_EVERY_S: Final = 2.0


@dataclass(slots=True)
class State:
    """What readiness and the next pass depend on."""

    slots: bool = False
    control: bool = False
    database: bool = False
    standby: bool = False
    keys: bool = True
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def conditions(self) -> dict[str, bool]:
        """A standby is ready without slots of its own making."""
        return {
            "database": self.database,
            "control": self.control,
            "keys": self.keys,
            "slots": self.slots or self.standby,
        }


@asynccontextmanager
async def _kafka(
    settings: CustodianSettings, signer: Signer, pinned: dict[str, KnownSigner], metrics: ProcessMetrics
) -> AsyncIterator[tuple[TopicAdmin, ControlPublisher, Announced, GrantKeySender]]:
    """The clients, after the static topics exist and control was read to its end. Raises BrokerUnavailable."""
    tls = settings.kafka_tls
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(TopicAdmin(settings.kafka, settings.topics, tls))
        created = await admin.ensure(STATIC_TOPICS)
        if created:
            logging.get_logger().info("topics.created", count=len(created))
        producer = Producer(settings.kafka, "mk-custodian", tls=tls)
        await producer.start()
        stack.push_async_callback(producer.stop)
        announced = Announced(settings.kafka, "mk-custodian-control", pinned, metrics, tls)
        stack.push_async_callback(announced.reader.stop)
        await announced.reader.start()
        yield admin, ControlPublisher(producer, signer), announced, GrantKeySender(producer, signer)


async def _go_round(connection: Connection, duties: Duties, state: State, stopping: asyncio.Event) -> None:
    """Passes until told to stop. Raises TransientError when a connection is lost."""
    loop = asyncio.get_running_loop()

    def notified(*_ignored: Any) -> None:
        state.wake.set()

    with translated():
        await connection.add_listener(NOTIFY_CHANNEL, notified)
    next_full = loop.time()
    pause_s, failures = QUICK_EVERY_S, 0
    while not stopping.is_set():
        woken = state.wake.is_set()
        state.wake.clear()
        async with custody(connection) as held:
            state.standby = not held
            state.database = True
            if held:
                full = loop.time() >= next_full
                work = duties.full_pass if full else duties.woken_pass if woken else duties.quick_pass
                if await work():
                    pause_s, failures = QUICK_EVERY_S, 0
                    next_full = loop.time() + FULL_EVERY_S if full else next_full
                elif duties.failed:
                    pause_s, failures = min(LONGEST_PAUSE_S, pause_s * 2), failures + 1
                    if full and duties.slots_ready:
                        # One duty that cannot be done now must not keep new tenants waiting pass after pass.
                        next_full = loop.time() + FULL_AGAIN_S
                else:
                    pause_s = 0.05
                state.slots = duties.slots_ready
        if failures == FAILURES_BEFORE_RECONNECT:
            raise BrokerUnavailable("passes fail one after the other: connect anew")
        await _either(state.wake, stopping, pause_s)


async def _watch_control(announced: Announced, state: State) -> None:
    """Keep `state.control` true to whether control can be read to its end; between two passes nothing else would."""
    while True:
        try:
            await announced.reader.catch_up(timeout_s=3)
            state.control = True
        except BrokerUnavailable:
            state.control = False
        await asyncio.sleep(CONTROL_EVERY_S)


async def _either(first: asyncio.Event, second: asyncio.Event, timeout_s: float) -> None:
    waits = [asyncio.create_task(event.wait()) for event in (first, second)]
    await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    for task in waits:
        task.cancel()


async def _main(supervisor: Supervisor) -> None:
    settings = load(CustodianSettings)
    signer = load_signer("custodian", settings.signing_key_file, "MKC_CUSTODIAN_SIGNING_KEY_FILE")
    pinned = load_control_signers(settings.control_signers_file, "MKC_CUSTODIAN_CONTROL_SIGNERS_FILE")
    require_pinned(signer, pinned, "MKC_CUSTODIAN_CONTROL_SIGNERS_FILE")
    signer_records(settings.public_keys_dir)
    provider = settings.provider()
    router_secrets, erasure_secrets = settings.router_secrets(), settings.erasure_secrets()
    metrics = ProcessMetrics("custodian")
    state = State()

    def provider_changed(is_up: bool) -> None:
        state.keys = is_up
        metrics.gauge(CUSTODIAN_PROVIDER_UP).set(is_up)

    log = logging.get_logger()
    async with (
        HealthServer(settings.health_host, settings.health_port, metrics, state.conditions),
        closing_all(provider, router_secrets, erasure_secrets),
    ):
        log.info("custodian.started", **settings.summary())
        supervisor.start("key provider", watch_keys(provider.status, provider_changed))
        pause_s = 0.2
        while not supervisor.stopping.is_set():
            try:
                applied = await migrate(settings.database)
                if applied:
                    log.info("schema.migrated", count=len(applied))
                async with (
                    _kafka(settings, signer, pinned, metrics) as (admin, publisher, announced, grant_keys),
                    permissions(settings.kafka, settings.kafka_tls) as access,
                    connected(settings.database, "mk-custodian") as connection,
                ):
                    pause_s = 0.2
                    tools = Tools(
                        kafka=settings.kafka,
                        tls=settings.kafka_tls,
                        access=access,
                        grant_keys=grant_keys,
                        admin=admin,
                        publisher=publisher,
                        announced=announced,
                        provider=provider,
                        store_secrets=provider,
                        router_secrets=router_secrets,
                        erasure_secrets=erasure_secrets,
                        public_keys=settings.public_keys_dir,
                        request_keys=RequestKeyFile(settings.request_keys_file, signer),
                        headroom={1: settings.free_slots_1, 8: settings.free_slots_8},
                        clock=SystemClock(),
                        metrics=metrics,
                        plan=settings.plan(),
                    )
                    watch = supervisor.start("control watch", _watch_control(announced, state))
                    try:
                        await _go_round(connection, Duties(connection, tools), state, supervisor.stopping)
                    finally:
                        watch.cancel()
            except TransientError as exc:
                state.database = state.control = False
                log.warning("custodian.waited", exc=exc, wait_s=pause_s)
                await _either(supervisor.stopping, supervisor.stopping, pause_s)
                pause_s = min(LONGEST_PAUSE_S, pause_s * 2)


if __name__ == "__main__":
    sys.exit(run("custodian", _main))
