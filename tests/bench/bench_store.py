"""What a row costs in the store: open, fence, encrypt per person, insert with the position, on one connection.

`python -m tests.bench.bench_store`: a Postgres and a Kafka of its own, one tenant with 200 people, 772-byte payloads.
For each batch size it prints rows/s and the CPU of this process per row; then small batches of several tenants in one
transaction; last the store process itself, which empties a topic that was filled before: everything it does for a row
(fetch, parse, open, fence, encrypt, insert, count), by its own `process_cpu_seconds_total`. Compare only within one run
(PERFORMANCE.md).
"""

import asyncio
import gc
import hashlib
import os
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import uvloop
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts import headers as h
from contracts.control import ControlView, tenant_recipient
from contracts.ids import event_id
from contracts.signing import Signer
from contracts.topics import tenant_events_topic
from deploy.local.database import login_dsn
from deploy.local.stack import LocalStack
from runtime.clock import SystemClock
from runtime.epochs import EpochSource
from runtime.files import SecretFolder
from runtime.kafka.batch import headers
from runtime.kafka.clients import Producer
from runtime.kafka.control import ControlReader
from runtime.secrets import FolderSecrets
from store.__main__ import COLLECT
from store.keys.keyring import LocalKeyring
from store.lanes.database import Connection, connect
from store.lanes.event import TenantEvent
from store.lanes.event_types import known_type
from store.lanes.keks import TenantKeks
from store.lanes.opening import TenantOpener
from store.lanes.persist import Batch, Persisted, Persister
from store.lanes.queries import tenant_statements
from store.lanes.transaction import store_batches
from store.settings import read_control_signers
from tests.support.world import Tenant, World

BATCHES = (1, 20, 100, 500)
SHARED = ((20, 1), (20, 5))
"""(tenants in a transaction, rows of each)."""
ROUNDS, ROUND_S = 5, 0.4
PEOPLE = 200
NOBODY = UUID(int=1)
TOPIC_ROWS = 40_000
PAYLOAD = b'{"text":"' + b"x" * 761 + b'"}'


@dataclass(slots=True)
class Sealed:
    """A record as it lies on the topic."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes = field(repr=False)
    headers: h.Headers = field(repr=False)


@dataclass(slots=True)
class Source:
    """Sealed records of one tenant, without end."""

    tenant: Tenant
    epochs: EpochSource
    view: ControlView
    account: UUID = NOBODY
    position: int = 0

    def take(self, count: int) -> list[Sealed]:
        """The next records, each of another moment and one of the people."""
        return [self._one() for _ in range(count)]

    def _one(self) -> Sealed:
        now = datetime.now(UTC)
        person = hashlib.sha256(str(self.position % PEOPLE).encode()).digest()[:16]
        identity = event_id(
            b"k" * 32,
            occurred_at_ms=int(now.timestamp() * 1000),
            provider_object="page",
            account="1",
            kind="message",
            native_id=uuid4().hex,
        )
        headers = [
            (h.CE_SPECVERSION, b"1.0"),
            (h.CE_ID, str(identity).encode()),
            (h.CE_SOURCE, b"/meta/messenger/1"),
            (h.CE_TYPE, b"message.received"),
            (h.CE_SUBJECT, person.hex().encode()),
            (h.CE_TENANT, str(self.tenant.tenant).encode()),
            (h.CE_DATASCHEMA, b"urn:mkchannels:event:message.received:1"),
            (h.MK_PERSON, person.hex().encode()),
            (h.MK_RECEIVED_AT, str(int(now.timestamp() * 1000)).encode()),
            (h.MK_ACCOUNT, str(self.account).encode()),
            (h.MK_DIRECTION, b"i"),
            (h.MK_REF, identity.hex.encode()),
        ]
        topic = tenant_events_topic(self.tenant.slot)
        recipient = self.view.sealing_key(tenant_recipient(self.tenant.tenant), now)
        value, sealed = self.epochs.seal(topic, self.tenant.tenant, recipient, PAYLOAD, headers)
        self.position += 1
        return Sealed(topic, 0, self.position - 1, int(now.timestamp() * 1000), person, value, tuple(sealed))


@dataclass(slots=True)
class Store:
    """The store's work on records that are fetched already."""

    connection: Connection
    opener: TenantOpener
    persister: Persister

    async def run(self, parts: list[tuple[Tenant, list[Sealed]]]) -> None:
        """One transaction."""
        batches = [self._batch(tenant, records) for tenant, records in parts]
        for ending in await store_batches(self.connection, self.persister, batches):
            assert isinstance(ending, Persisted), ending

    def _batch(self, tenant: Tenant, records: list[Sealed]) -> Batch:
        events: list[TenantEvent] = []
        for record in records:
            opened = self.opener.open(record, tenant.tenant)
            assert opened.event is not None, opened.reason
            events.append(opened.event)
        return Batch(
            tenant=tenant.tenant,
            statements=tenant_statements(tenant.schema),
            slot=tenant.slot,
            partition=0,
            first=records[0].offset,
            next_offset=records[-1].offset + 1,
            events=tuple(events),
            refused=frozenset(),
            retention_days=365,
        )


async def measure(store: Store, sources: list[Source], rows: int) -> tuple[float, float]:
    """Rows per second and CPU µs of this process per row; sealing the input is not counted.

    The best of several rounds: what else runs on the machine only ever adds.
    """
    for source in sources:
        records = source.take(rows)
        await store.opener.open_waiting(records[0], source.tenant.tenant)  # fetches the private half
        await store.run([(source.tenant, records)])
    per_second, cpu_us = 0.0, float("inf")
    for _ in range(ROUNDS):
        done, wall, cpu = 0, 0.0, 0.0
        while wall < ROUND_S:
            parts = [(source.tenant, source.take(rows)) for source in sources]
            wall_before, cpu_before = time.perf_counter(), time.process_time()
            await store.run(parts)
            wall += time.perf_counter() - wall_before
            cpu += time.process_time() - cpu_before
            done += rows * len(sources)
        per_second, cpu_us = max(per_second, done / wall), min(cpu_us, cpu / done * 1e6)
    return per_second, cpu_us


async def measure_bare(dsn: str, rows: int) -> tuple[float, float]:
    """The same of a bare loop: one AES-GCM with one key, one unnest into one plain table. It opens, fences and knows nothing."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "CREATE TABLE bare (id uuid PRIMARY KEY, account uuid, received_at timestamptz, body bytea)"
    )
    cipher = AESGCM(os.urandom(32))
    insert = (
        "INSERT INTO bare SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::bytea[])"
        " ON CONFLICT DO NOTHING"
    )
    per_second, cpu_us = 0.0, float("inf")
    for _ in range(ROUNDS):
        done, wall, cpu = 0, 0.0, 0.0
        while wall < ROUND_S:
            now = datetime.now(UTC)
            given = sorted(((uuid4(), NOBODY, now, PAYLOAD) for _ in range(rows)), key=lambda row: row[0])
            wall_before, cpu_before = time.perf_counter(), time.process_time()
            cells = []
            for identity, _, _, payload in given:
                nonce = os.urandom(12)
                cells.append(nonce + cipher.encrypt(nonce, payload, identity.bytes))
            columns = ([row[at] for row in given] for at in range(3))
            await connection.execute(insert, *columns, cells)
            wall += time.perf_counter() - wall_before
            cpu += time.process_time() - cpu_before
            done += rows
        per_second, cpu_us = max(per_second, done / wall), min(cpu_us, cpu / done * 1e6)
    await connection.close()
    return per_second, cpu_us


async def fill(world: World, source: Source) -> None:
    """Put `TOPIC_ROWS` records on the tenant's topic."""
    producer = Producer(world.service.endpoints.kafka, "bench")
    await producer.start()
    try:
        left = TOPIC_ROWS
        while left:
            records = source.take(min(500, left))
            sent = 0
            while sent < len(records):
                part = [
                    (one.key or b"", one.value, (headers(one.headers),), len(one.headers))
                    for one in records[sent:]
                ]
                taken, acknowledgement = await producer.send_batch(records[0].topic, 0, part)
                await acknowledgement
                sent += taken
            left -= len(records)
    finally:
        await producer.stop()


def whole_process(world: World) -> str:
    """Rows per second and CPU per row of the store process while it empties the topic."""
    stored = 'mk_store_records_total{outcome="stored"}'
    samples: list[tuple[dict[str, float], float]] = []

    def stored_more_than(rows: float) -> bool:
        now = world.metrics("store"), time.monotonic()
        is_more = now[0].get(stored, 0) > rows
        if is_more:
            samples.append(now)
        return is_more

    world.service.start(["store"])
    try:
        # Under way: connecting and joining the group is not what a row costs.
        world.wait_until(lambda: stored_more_than(TOPIC_ROWS * 0.1), 60)
        world.wait_until(lambda: stored_more_than(TOPIC_ROWS * 0.9), 60)
    finally:
        world.stop("store")
    (before, began), (after, ended) = samples
    rows = after[stored] - before[stored]
    cpu_us = (after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]) / rows * 1e6
    rss_mib = after["process_resident_memory_bytes"] / 1_048_576
    return (
        f"the whole process: {rows / (ended - began):,.0f} rows/s, {cpu_us:.1f} µs/row, RSS {rss_mib:.0f} MiB"
    )


async def bench(world: World, tenants: list[Tenant], full: Tenant, account: UUID) -> None:
    """Print the table."""
    keys = world.service.root / "keys"
    view = ControlView(read_control_signers(keys / "public" / "control_signers.json"))
    secrets = SecretFolder(keys / "store" / "secrets")
    router = Signer.from_bytes("router", (keys / "router" / "signing.key").read_bytes())
    # As in the process itself.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT)
    async with ControlReader(world.service.endpoints.kafka, "bench", view):
        epochs = EpochSource(router, SystemClock())
        sources = [Source(tenant, epochs, view) for tenant in tenants]
        connection = await connect(
            login_dsn(world.stack.endpoints.postgres, "mk_store", world.service.database)
        )
        store = Store(
            connection,
            TenantOpener(FolderSecrets(secrets), view, known_type),
            Persister(TenantKeks(LocalKeyring(secrets))),
        )
        at_most_rows_us = 0.0
        print(f"{'tenants × rows':>15} {'rows/s':>8} {'app µs/row':>11}")
        for tenants_in, rows in [*((1, batch) for batch in BATCHES), *SHARED]:
            per_second, cpu_us = await measure(store, sources[:tenants_in], rows)
            print(f"{tenants_in:>9} × {rows:<4} {per_second:>8.0f} {cpu_us:>11.1f}", flush=True)
            if rows == BATCHES[-1]:
                at_most_rows_us = cpu_us
        per_second, bare_us = await measure_bare(world.stack.dsn(world.service.database), BATCHES[-1])
        print(f"{'bare loop':>9} × {BATCHES[-1]:<4} {per_second:>8.0f} {bare_us:>11.1f}", flush=True)
        print(f"a row of {BATCHES[-1]} costs {at_most_rows_us / bare_us:.1f} × that of the bare loop")
        await connection.close()
        await fill(world, Source(full, epochs, view, account))


def main() -> None:
    """A stack of its own in a temporary folder; the port base is MKC_PORT_BASE or 25000."""
    with ExitStack() as cleaning:
        root = Path(cleaning.enter_context(tempfile.TemporaryDirectory(prefix="mkchannels-bench-")))
        root.chmod(0o755)
        base = int(os.environ.get("MKC_PORT_BASE", "25000"))
        stack = cleaning.enter_context(LocalStack(root, port_base=base, profile="bench"))
        world = cleaning.enter_context(World.on(stack, base))
        world.start(["custodian"])
        tenants = [
            world.add_tenant(f"tenant-{number}") for number in range(max(count for count, _ in SHARED) + 1)
        ]
        account = world.connect(tenants[-1], "messenger", {"page": "1"})
        for tenant in tenants[:-1]:
            world.sql(f"INSERT INTO {tenant.schema}.lane VALUES (0, $1, 0)", tenant.slot)
        world.stop("custodian")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(bench(world, tenants[:-1], tenants[-1], account))
        for tenant in tenants[
            :-1
        ]:  # their topics are empty: a lane after the end of its log would be a fault
            world.sql(f"DELETE FROM {tenant.schema}.lane")
        print(whole_process(world))


if __name__ == "__main__":
    main()
