"""From the webhook's 200 to the committed row, everything on this machine: `python -m tests.bench.bench_whole`.

One service with a tenant for WhatsApp; signed webhooks at a bounded rate, then as many as it takes. Prints accepted → row
(p50, p99: the broker's time of the raw record against `stored_at`), the CPU of each process per webhook, its resident
memory under load, and the CPU of the idle service. About a minute. Compare only within one run.
"""

import argparse
import asyncio
import shutil
import tempfile
import time
from pathlib import Path

import uvloop

from deploy.local.processes import PIPELINE
from deploy.local.stack import LocalStack
from ingest.cli_post import meta_headers
from tests.bench.receiver_alone import cpu_s, rss_mib
from tests.bench.webhook_load import Client
from tests.support.bodies import PHONE_NUMBER_ID, WABA, encode, whatsapp, whatsapp_message
from tests.support.world import Tenant, World

PEOPLE = 200
BODIES = 40_000
"""Prepared and signed before: what the load costs while it runs is only sending."""
CONNECTIONS = 32


def requests(world: World, first: int, count: int) -> list[bytes]:
    """Signed requests, each of a message of its own."""
    secret = world.service.app_secret()
    path = world.service.receiver_url.partition(str(world.service.ports.receiver))[2]
    made: list[bytes] = []
    for number in range(first, first + count):
        message = whatsapp_message(
            f"wamid.bench{number}",
            "t" * 300,
            phone=f"55319{87_000_000 + number % PEOPLE}",
            at_s=int(time.time()),
        )
        body = encode(whatsapp([message], waba=WABA, phone_number_id=PHONE_NUMBER_ID))
        headers = {"Host": "127.0.0.1", **meta_headers(body, secret), "Content-Length": str(len(body))}
        lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        made.append("\r\n".join((*lines, "", "")).encode() + body)
    return made


async def post(port: int, prepared: list[bytes], rate: float, seconds: float) -> tuple[int, int]:
    """Post for that long; accepted and refused. `rate` 0: as fast as answers come."""
    times: list[float] = []
    loop = asyncio.get_running_loop()
    clients: list[Client] = []
    share = len(prepared) // CONNECTIONS
    for number in range(CONNECTIONS):
        own = prepared[number * share : (number + 1) * share]
        client = Client(own, times, CONNECTIONS / rate if rate else 0.0)
        clients.append(client)
        await loop.create_connection(lambda made=client: made, "127.0.0.1", port)  # type: ignore[misc]
        if rate:
            await asyncio.sleep(1 / rate)
    await asyncio.sleep(seconds)
    for client in clients:
        client.close()
    await asyncio.sleep(0.2)
    return len(times), sum(client.refused for client in clients)


def cpu(world: World) -> dict[str, float]:
    """CPU seconds of each process so far."""
    return {name: cpu_s(world.service.pid(name)) for name in PIPELINE}


def step(world: World, tenant: Tenant, first: int, rate: float, seconds: float) -> int:
    """One rate: post, wait until everything is a row, print. How many bodies were used."""
    count = int(rate * seconds) + 10 * CONNECTIONS if rate else BODIES
    prepared = requests(world, first, count)
    rows, used, began = world.row_count(tenant), cpu(world), time.monotonic()
    moment = world.sql("SELECT clock_timestamp()")[0][0]
    accepted, refused = uvloop.run(post(world.service.ports.receiver, prepared, rate, seconds))
    posted_s = time.monotonic() - began
    memory = ", ".join(f"{name} {rss_mib(world.service.pid(name)):.0f}" for name in PIPELINE)
    world.wait_rows(tenant, rows + min(accepted, count), 60)
    caught_up_s = time.monotonic() - began
    spent = {name: (after - used[name]) / max(1, accepted) * 1e6 for name, after in cpu(world).items()}
    p50, p99 = world.sql(
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY age), percentile_cont(0.99) WITHIN GROUP (ORDER BY age)"
        " FROM (SELECT extract(epoch FROM stored_at - received_at) * 1000 AS age"
        f" FROM {tenant.schema}.message WHERE stored_at > $1) ages",
        moment,
    )[0]
    print(
        f"{f'{rate:,.0f}/s' if rate else 'unbounded'}: {accepted / posted_s:,.0f} webhooks/s accepted, {refused} refused, "
        f"rows {accepted / caught_up_s:,.0f}/s until the last, accepted to row p50 {p50:.0f} ms, p99 {p99:.0f} ms"
    )
    print("  CPU µs a webhook: " + ", ".join(f"{name} {cost:.0f}" for name, cost in spent.items()))
    print(f"  RSS MiB: {memory}", flush=True)
    return count


def idle(world: World, seconds: float) -> None:
    """CPU of the service when nothing comes."""
    before = cpu(world)
    time.sleep(seconds)
    shares = {name: (after - before[name]) / seconds for name, after in cpu(world).items()}
    parts = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
    print(f"idle: {sum(shares.values()):.1%} of a core ({parts})", flush=True)


def main() -> None:
    """Print a line for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--rates", type=float, nargs="*", default=[200, 1_000])
    parser.add_argument("--port-base", type=int, default=25_090)
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="mkchannels-bench-"))
    root.chmod(0o755)
    try:
        with (
            LocalStack(root, port_base=options.port_base, profile="run") as stack,
            World.on(stack, options.port_base) as world,
        ):
            world.start()
            tenant = world.add_tenant("bench")
            world.connect(tenant, "whatsapp", {"waba": WABA, "phone-number-id": PHONE_NUMBER_ID})
            idle(world, options.seconds)
            used = step(world, tenant, 0, 50, 2)  # connections, statements and keys are made
            for rate in [*options.rates, 0]:
                used += step(world, tenant, used, rate, options.seconds)
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
