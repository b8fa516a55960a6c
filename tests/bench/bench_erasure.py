"""From a request's record to the key being gone, while the store writes to the same tenant as fast as it can.

`python -m tests.bench.bench_erasure [PEOPLE]` (default 100, of 200 messages each): a Kafka and a Postgres of its own, the
custodian and the erasure process. The time of a request is the broker's: of the request's record, and of the outcome
`executing`, which is told after the commit that shredded the key. Bars: p50 <= 100 ms, p99 <= 1 s; a writer of the tenant
waits <= 200 ms for its lock. Compare only within one run (PERFORMANCE.md).
"""

import asyncio
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from uuid import UUID

from contracts import outcomes, topics
from contracts.outcomes import State
from contracts.pseudonyms import Domain, pseudonym
from deploy.local.processes import Ports, Service
from deploy.local.stack import LocalStack
from runtime.files import SecretFolder
from store.lanes.database import execute, make_clean
from store.lanes.event import TenantEvent
from store.lanes.queries import tenant_statements
from store.lanes.transaction import store_batches
from tests.integration.store.cell import Cell, event
from tests.support.erasure import Requests, person_request, psid, read_all
from tests.support.world import Tenant, World

PORT_BASE = 24_400
MESSAGES = 200
ROWS = 200
EVERY_S = 0.1
ALONE_S = 5.0


def write(
    world_root: Path,
    stack_root: Path,
    database: str,
    tenant: Tenant,
    stop: "Synchronized[int]",
    written: "Synchronized[int]",
    longest_ms: "Synchronized[float]",
) -> None:
    """The store's side, in a process of its own: one batch after the other; the longest wait for the tenant's lock."""

    async def run() -> None:
        stack = LocalStack(stack_root, port_base=PORT_BASE, profile="bench")
        service = Service(world_root, stack.endpoints, Ports.from_base(PORT_BASE), database=database)
        cell = Cell(World(stack, service))
        persister, position = cell.persister(), cell.position(tenant)
        statements = tenant_statements(tenant.schema)
        async with cell.connection() as connection:
            while not stop.value:
                began = time.perf_counter()
                await execute(connection, statements.enter("begin", tenant.tenant, 5_000))
                longest_ms.value = max(longest_ms.value, (time.perf_counter() - began) * 1000)
                await make_clean(connection)
                batch = cell.batch(
                    tenant, [event(f"w{number % 200}") for number in range(ROWS)], first=position
                )
                (ending,) = await store_batches(connection, persister, [batch], own_timeout_ms=5_000)
                if isinstance(ending, Exception) or ending is None:
                    position = cell.position(tenant)
                else:
                    position = batch.next_offset
                    written.value += ending.stored

    asyncio.run(run())


def people_of(keys: Path, tenant: Tenant, count: int) -> list[bytes]:
    """The pseudonyms of Messenger ids 1 to `count`, under the tenant's own key."""
    key = SecretFolder(keys / "router" / "secrets").get(f"pseudonym-{tenant.tenant}")
    return [pseudonym(key, Domain.PSID, str(number)) for number in range(1, count + 1)]


async def ask(world: World, tenant: Tenant, count: int) -> list[float]:
    """One request after the other; milliseconds from each one's record to its key being gone, sorted."""
    kafka = world.stack.endpoints
    async with Requests(world) as requests:
        asked = []
        for number in range(1, count + 1):
            asked.append(await requests.ask(person_request(tenant, psid(str(number)))))
            await asyncio.sleep(EVERY_S)
        done = f"SELECT count(*) FROM {tenant.schema}.erasure_step"
        world.wait_until(lambda: world.sql(done)[0][0] >= count, 120, "every step")
        begun: dict[bytes, int] = {}
        for record in await read_all(kafka, topics.ERASURE_REQUESTS):
            name = dict(record.headers)["mk_request"].decode()
            begun[UUID(name).bytes] = record.timestamp
        gone: dict[bytes, int] = {}
        while len(gone) < count:
            for record in await read_all(kafka, topics.ERASURE_OUTCOMES):
                outcome = outcomes.decode(
                    record.key, record.value, tuple(record.headers), requests.view.signer
                )
                if outcome.state is State.EXECUTING:
                    gone.setdefault(record.key, record.timestamp)
    return sorted(float(gone[one.bytes] - begun[one.bytes]) for one in asked)


def percentile(times: Sequence[float], share: float) -> float:
    """Of sorted times."""
    return times[min(len(times) - 1, int(len(times) * share))]


def main(count: int) -> None:
    """One run, of which nothing stays."""
    with tempfile.TemporaryDirectory(prefix="mkc-bench-erasure-") as folder:
        Path(folder).chmod(0o755)
        measure(Path(folder), count)


def measure(root: Path, count: int) -> None:
    """One run under `root`."""
    with LocalStack(root, port_base=PORT_BASE, profile="bench") as stack, World.on(stack, PORT_BASE) as world:
        world.start(["custodian", "erasure"])
        cell = Cell(world)
        tenant = cell.new_tenant()
        for person in people_of(world.service.root / "keys", tenant, count):
            rows = [event()._replace(persons=(person,)) for _ in range(MESSAGES)]
            asyncio.run(_written(cell, tenant, rows))
        context = multiprocessing.get_context("spawn")
        stop, written, longest = context.Value("i", 0), context.Value("i", 0), context.Value("d", 0.0)
        given = (world.service.root, root, world.service.database, tenant, stop, written, longest)
        writer = context.Process(target=write, args=given)
        writer.start()
        while written.value < 20 * ROWS:
            time.sleep(0.05)
        longest.value, before, began = 0.0, written.value, time.perf_counter()
        time.sleep(ALONE_S)
        alone, wait_alone = (written.value - before) / (time.perf_counter() - began), longest.value
        longest.value, before, began = 0.0, written.value, time.perf_counter()
        times = asyncio.run(ask(world, tenant, count))
        beside, wait_beside = (written.value - before) / (time.perf_counter() - began), longest.value
        stop.value = 1
        writer.join(10)
        left = world.sql(
            f"SELECT count(*) FROM {tenant.schema}.subject WHERE wrapped_dek IS NOT NULL AND erased_through_gen > 0"
        )[0][0]
    print(f"cores {os.cpu_count()}, load {os.getloadavg()[0]:.1f}, {count} people of {MESSAGES} messages")
    print(
        f"request to shred: p50 {percentile(times, 0.5):.0f} ms, p90 {percentile(times, 0.9):.0f} ms,"
        f" p99 {percentile(times, 0.99):.0f} ms, longest {times[-1]:.0f} ms; keys left {left}"
    )
    print(
        f"longest wait of a writer for the tenant's lock: {wait_alone:.0f} ms alone, {wait_beside:.0f} ms beside"
    )
    print(f"store: {alone:,.0f} rows/s alone, {beside:,.0f} beside it ({beside / alone:.0%})")


async def _written(cell: Cell, tenant: Tenant, rows: list[TenantEvent]) -> None:
    ended = await cell.write(tenant, *rows)
    assert ended.stored == len(rows)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
