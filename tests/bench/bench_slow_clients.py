"""What hundreds of slow clients do to good traffic: `python -m tests.bench.bench_slow_clients`.

Real broker, the receiver as its own process; good clients post at a steady rate while 300 clients never end their headers
and 300 never end their bodies: each drips a byte a second and comes back when it is closed. Turn about with and without
them; prints p50 and p99 of the good answers, and the ratio. The bar (issue 5): p99 within 3 times.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import uvloop

from contracts import topics
from deploy.local.stack import LocalStack
from runtime.kafka.topics import TopicAdmin, TopicSettings
from tests.bench.receiver_alone import REPOSITORY, alone_on_core_0, prepare, rss_mib, sample, wait_until
from tests.bench.webhook_load import body, load, wire

SLOW = 300
_DRIP_S = 1.0


async def slow(port: int, nice: int) -> None:
    """All the slow clients, until killed."""
    os.nice(nice)
    whole = wire(body(0))
    head, content = whole[:60], whole[: whole.index(b"\r\n\r\n") + 14]
    await asyncio.gather(*(_client(port, content if number % 2 else head) for number in range(2 * SLOW)))


async def _client(port: int, start: bytes) -> None:
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(start)
            while not reader.at_eof():
                try:
                    await asyncio.wait_for(reader.read(1_024), _DRIP_S)
                except TimeoutError:
                    writer.write(b"a")
            writer.close()
        except OSError:
            await asyncio.sleep(_DRIP_S)


def measure(port: int, health: int, pid: int, arguments: argparse.Namespace) -> None:
    """Turn about, and the ratio of each pair."""
    ratios = []
    for _ in range(arguments.pairs):
        without = uvloop.run(load(port, pid, 32, arguments.seconds, arguments.rate))
        attackers = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.bench.bench_slow_clients",
                *("--slow", str(port), "--nice", str(arguments.nice)),
            ],
            cwd=REPOSITORY,
        )
        try:
            wait_until(lambda: sample(health, "mk_ingest_connections") > 1.5 * SLOW)
            beside = uvloop.run(load(port, pid, 32, arguments.seconds, arguments.rate))
        finally:
            attackers.kill()
            attackers.wait()
        wait_until(lambda: sample(health, "mk_ingest_connections") < 10)
        ratios.append(beside["p99_ms"] / without["p99_ms"])
        for name, figures in (("alone", without), (f"beside {2 * SLOW} slow clients", beside)):
            print(
                f"{name:26} p50 {figures['p50_ms']:6.2f} ms  p99 {figures['p99_ms']:7.2f} ms  "
                f"{figures['requests_s']:5.0f}/s  refused {figures['refused']:.0f}  RSS {rss_mib(pid):.0f} MiB",
                flush=True,
            )
    print(
        f"p99 beside slow clients / alone: median {statistics.median(ratios):.2f} (bar: 3), worst {max(ratios):.2f}"
    )


async def _topics(kafka: str) -> None:
    async with TopicAdmin(kafka, TopicSettings()) as admin:
        await admin.ensure(topics.STATIC_TOPICS)


def main() -> int:
    """Start everything, measure, stop everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slow", type=int, metavar="PORT", help="be the slow clients of that port")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rate", type=float, default=300.0, help="good requests a second")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument(
        "--nice",
        type=int,
        default=0,
        help="how far behind the slow clients stand for the processor, 0 to 19: in truth they have machines of their own",
    )
    parser.add_argument("--port-base", type=int, default=29_490)
    arguments = parser.parse_args()
    if arguments.slow:
        asyncio.run(slow(arguments.slow, arguments.nice))
        return 0
    with tempfile.TemporaryDirectory(prefix="mkchannels-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        port, health = arguments.port_base - 10, arguments.port_base - 9
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        with LocalStack(folder / "stack", port_base=arguments.port_base, profile="bench") as stack:
            asyncio.run(_topics(stack.endpoints.kafka))
            settings = prepare(folder) | {
                "MKC_INGEST_KAFKA": stack.endpoints.kafka,
                "MKC_INGEST_PORT": str(port),
                "MKC_INGEST_HEALTH_PORT": str(health),
            }
            with alone_on_core_0([sys.executable, "-m", "ingest"], settings) as process:
                wait_until(lambda: sample(health, "mk_process_ready") == 1)
                measure(port, health, process.pid, arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
