"""What a rotation costs: keys of persons wrapped anew a second, and what the store keeps of its rate meanwhile.

`python -m tests.bench.bench_rotation [SUBJECTS]` (default 100,000): a Kafka and a Postgres of its own, one tenant. The
store's side is one writer that persists batches of 100 rows as fast as it can, in a process of its own, before and
beside the rotation. Compare only within one run (PERFORMANCE.md).
"""

import asyncio
import multiprocessing
import os
import sys
import tempfile
import time
from datetime import timedelta
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from uuid import uuid4

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from deploy.local.processes import Ports, Service
from deploy.local.stack import LocalStack
from runtime.files import SecretFolder
from store.custody.epochs.flip import epochs_of
from store.custody.epochs.rewrap import open_kek
from store.custody.epochs.rotation import Plan, Rotation
from store.custody.epochs.sql import TenantSchema
from store.database import connected
from store.keys.cells import dek_aad, wrap_key
from store.keys.keyring import LocalKeyring
from store.lanes.transaction import store_batches
from tests.integration.store.cell import Cell, event
from tests.support.world import Tenant, World

PORT_BASE = int(os.environ.get("MKC_PORT_BASE") or 24_000)
ROWS = 100
ALONE_S = 5.0


async def fill(cell: Cell, tenant: Tenant, count: int) -> None:
    """Subjects with real wrapped keys, by COPY."""
    provider = LocalKeyring(cell.secrets)
    async with connected(cell.dsn("mk_custodian"), "bench") as connection:
        (epoch,) = await epochs_of(connection, TenantSchema(tenant.tenant, tenant.schema))
        kek = await open_kek(provider, TenantSchema(tenant.tenant, tenant.schema), epoch)
        rows = []
        for _ in range(count):
            subject = uuid4()
            wrapped = wrap_key(kek.cipher, AESGCM.generate_key(256), dek_aad(tenant.tenant, subject, 1, 1))
            rows.append((subject, wrapped, 1))
        await connection.execute("SET ROLE mk_owner")
        await connection.copy_records_to_table(
            "subject",
            schema_name=tenant.schema,
            records=rows,
            columns=("subject_id", "wrapped_dek", "dek_epoch"),
        )


def write(
    world_root: Path,
    stack_root: Path,
    database: str,
    tenant: Tenant,
    stop: "Synchronized[int]",
    written: "Synchronized[int]",
) -> None:
    """The writer's process."""

    async def run() -> None:
        stack = LocalStack(stack_root, port_base=PORT_BASE, profile="bench")
        service = Service(world_root, stack.endpoints, Ports.from_base(PORT_BASE), database=database)
        cell = Cell(World(stack, service))
        persister = cell.persister()
        position = cell.position(tenant)
        async with cell.connection() as connection:
            while not stop.value:
                events = [event(f"w{number % 200}") for number in range(ROWS)]
                batch = cell.batch(tenant, events, first=position)
                (ending,) = await store_batches(connection, persister, [batch])
                if not isinstance(ending, Exception):
                    position = batch.next_offset
                    written.value += ROWS

    asyncio.run(run())


async def rotate(cell: Cell, keys: Path) -> tuple[float, float, int]:
    """Seconds until everything was re-wrapped and until the old epoch was destroyed; keys moved."""
    provider = LocalKeyring(SecretFolder(keys / "store" / "secrets"), SecretFolder(keys / "escrow"))
    times: dict[str, float] = {}
    started = time.perf_counter()
    async with connected(cell.dsn("mk_custodian"), "bench") as connection:
        plan = Plan(timedelta(days=7), (keys / "exports-1", keys / "exports-2"))
        rotation = Rotation(
            connection, provider, plan, lambda step: times.__setitem__(step, time.perf_counter() - started)
        )
        while not await rotation.advance():
            pass
    return times["rewrapped"], times["destroyed"], rotation.progress.rewrapped


def main(count: int) -> None:
    """One run, of which nothing stays."""
    with tempfile.TemporaryDirectory(prefix="mkc-bench-rotation-") as folder:
        Path(folder).chmod(0o755)
        measure(Path(folder), count)


def measure(root: Path, count: int) -> None:
    """One run under `root`."""
    with LocalStack(root, port_base=PORT_BASE, profile="bench") as stack, World.on(stack, PORT_BASE) as world:
        world.start(["custodian"])
        cell = Cell(world)
        tenant = cell.new_tenant()
        world.stop("custodian")
        asyncio.run(fill(cell, tenant, count))
        context = multiprocessing.get_context("spawn")
        stop, written = context.Value("i", 0), context.Value("i", 0)
        writer = context.Process(
            target=write, args=(world.service.root, root, world.service.database, tenant, stop, written)
        )
        writer.start()
        while written.value < 20 * ROWS:
            time.sleep(0.05)
        before, began = written.value, time.perf_counter()
        time.sleep(ALONE_S)
        alone = (written.value - before) / (time.perf_counter() - began)
        world.sql("INSERT INTO mk.key_request (kind, requested_by) VALUES ('rotate', 'bench')")
        before, began = written.value, time.perf_counter()
        rewrapped_s, destroyed_s, moved = asyncio.run(rotate(cell, world.service.root / "keys"))
        beside = (written.value - before) / (time.perf_counter() - began)
        stop.value = 1
        writer.join(10)
    print(f"cores {os.cpu_count()}, keys {moved:,}")
    print(f"re-wrapped in {rewrapped_s:.1f} s: {moved / rewrapped_s:,.0f} keys/s")
    print(f"old epoch destroyed after {destroyed_s:.1f} s (export written twice, opened, a cell read)")
    print(f"a million keys at that rate: {1e6 / (moved / rewrapped_s):.0f} s")
    print(f"store: {alone:,.0f} rows/s alone, {beside:,.0f} beside it ({beside / alone:.0%})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
