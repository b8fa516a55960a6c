"""What the router costs: events per second of its own CPU, on a real Kafka, over a mix as Meta sends it.

The raw topic is filled first; then one router process empties it, and its own `process_cpu_seconds_total` is read before
and after. `python -m tests.bench.bench_router --help`; `--profile FILE` runs it under cProfile (slower: shares only).
"""

import argparse
import asyncio
import os
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contracts.control import IdKind
from deploy.local.stack import LocalStack
from tests.bench.mix import deliveries
from tests.support.plant import Plant


async def measure(plant: Plant, options: argparse.Namespace) -> None:
    """Fill, start, wait, print."""
    chance = random.Random(7)
    await plant.say_signers()
    accounts = []
    for number in range(options.tenants):
        tenant = await plant.add_tenant()
        ids = (str(1_000_000 + number), str(2_000_000 + number), str(3_000_000 + number))
        waba = ((IdKind.WABA, ids[0]), (IdKind.PHONE_NUMBER, ids[1]))
        await plant.connect(tenant, "whatsapp", waba)
        await plant.connect(tenant, "messenger", ((IdKind.PAGE, ids[2]),))
        accounts.append(ids)
    process = await plant.start()
    assert await plant.stop(process) == 0
    blocks, events = 0, 0
    futures: list[Any] = []
    while events < options.events:
        bodies, count = deliveries(chance, accounts, options.block)
        value, headers = plant.sealed(bodies)
        futures.append(await plant.producer.send("mk.raw.v1", value, headers=headers, partition=blocks % 4))
        blocks, events = blocks + 1, events + count
    for future in futures:
        await future
    under: Sequence[str] = (
        ("-m", "cProfile", "-o", str(options.profile.absolute())) if options.profile else ()
    )
    process = await plant.start(wait=False, under=under)

    async def answers() -> bool:
        return (await plant.page("/livez"))[0] == 200

    await plant.until(answers, 20, "the router to answer")
    done = before = began = 0.0
    began_cpu_s = 0.0
    while done < blocks:
        # Seldom, once it is under way: to answer costs the router processor time too.
        await asyncio.sleep(0.1 if before == 0 else 0.5)
        done = await plant.metric("mk_router_blocks_routed_total")
        if (
            before == 0 and done > 0
        ):  # Under way: connecting and joining the group is not what an event costs.
            began, began_cpu_s = time.monotonic(), await plant.metric("process_cpu_seconds_total")
            before = await plant.metric("mk_router_events_published_total")
    took_s = time.monotonic() - began
    cpu_s = await plant.metric("process_cpu_seconds_total") - began_cpu_s
    rss = await plant.metric("process_resident_memory_bytes")
    published = await plant.metric("mk_router_events_published_total") - before
    print(
        f"{published:.0f} events in {blocks} blocks of {options.block} deliveries, {options.tenants} tenants: "
        f"{published / cpu_s:,.0f} events per CPU second ({cpu_s / published * 1e6:.1f} µs each), "
        f"{published / took_s:,.0f} events/s by the clock, RSS {rss / 1_048_576:.0f} MiB, "
        f"load average {os.getloadavg()[0]:.1f}"
    )
    assert await plant.stop(process) == 0


def folder(given: Path | None) -> Path:
    """Where the stack keeps its data; the database's user must be able to pass it."""
    root = given or Path(tempfile.mkdtemp(prefix="mkchannels-bench-"))
    root.mkdir(mode=0o755, exist_ok=True)
    root.chmod(0o755)
    return root


async def main() -> None:
    """Run one measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--block", type=int, default=64, help="deliveries in a block")
    parser.add_argument("--tenants", type=int, default=10)
    parser.add_argument("--root", type=Path, help="folder of the stack; default: a temporary one")
    parser.add_argument("--port-base", type=int, default=23_000)
    parser.add_argument("--profile", type=Path)
    options = parser.parse_args()
    root = folder(options.root)
    stack = LocalStack(root, port_base=options.port_base, profile="bench")
    stack.start()
    try:
        async with Plant.on(stack, root / f"plant-{time.monotonic_ns()}") as plant:
            await measure(plant, options)
    finally:
        stack.stop()


if __name__ == "__main__":
    asyncio.run(main())
