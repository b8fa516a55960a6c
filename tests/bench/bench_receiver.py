"""What a webhook costs the receiver: `python -m tests.bench.bench_receiver`.

Real broker, receiver alone on core 0, broker and load on core 1; signed 772-byte WhatsApp bodies with Meta's headers, 200
after acks=all. Prints requests/s, CPU µs per webhook, p50 and p99, deliveries per block and RSS; where Go is installed
the same of `peers/go-receiver` (net/http and franz-go, which neither seals nor batches by itself) and the ratio. `wrk`
makes the load where it is installed, else a client in Python, which needs more of core 1. Compare only within one run.
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from contracts import topics
from deploy.local.stack import LocalStack
from runtime.kafka.topics import TopicAdmin, TopicSettings
from tests.bench.receiver_alone import (
    SECRET,
    alone_on_core_0,
    prepare,
    rss_mib,
    sample,
    wait_until,
)
from tests.bench.webhook_load import beside_large, load, many_large, saturated

PEER = Path(__file__).parent / "peers" / "go-receiver"


def build_peer(folder: Path) -> Path | None:
    """The receiver in Go, or None where there is no Go or no way to its modules."""
    if shutil.which("go") is None:
        return None
    made = folder / "go-receiver"
    environment = {**os.environ, "GOFLAGS": "-mod=readonly"}
    built = subprocess.run(
        ["go", "build", "-o", str(made), "."], cwd=PEER, env=environment, capture_output=True, timeout=300
    )
    return made if built.returncode == 0 else None


def measure(kafka: str, settings: dict[str, str], peer: Path | None, arguments: argparse.Namespace) -> None:
    """Both receivers on the same broker, turn about; then what only ours is asked."""
    port, health = arguments.port_base - 10, arguments.port_base - 9
    ours = {
        **settings,
        "MKC_INGEST_KAFKA": kafka,
        "MKC_INGEST_PORT": str(port),
        "MKC_INGEST_HEALTH_PORT": str(health),
    }
    theirs_port = arguments.port_base - 8
    theirs = {
        "KAFKA": kafka,
        "TOPIC": topics.RAW,
        "SECRET": SECRET.decode(),
        "PORT": str(theirs_port),
        "GOMAXPROCS": "1",
    }
    best = 0.0
    with contextlib.ExitStack() as running:
        receiver = running.enter_context(alone_on_core_0([sys.executable, "-m", "ingest"], ours))
        wait_until(lambda: sample(health, "mk_process_ready") == 1)
        go = running.enter_context(alone_on_core_0([str(peer)], theirs)) if peer else None
        if go is not None:
            wait_until(lambda: uvloop.run(load(theirs_port, go.pid, 1, 0.2))["requests_s"] > 0)
        for connections in arguments.connections:
            blocks = sample(health, "mk_ingest_blocks_published_total")
            carried = sample(health, "mk_ingest_block_deliveries_sum")
            result = saturated(port, receiver.pid, connections, arguments.seconds)
            blocks = sample(health, "mk_ingest_blocks_published_total") - blocks
            carried = sample(health, "mk_ingest_block_deliveries_sum") - carried
            best = max(best, result["requests_s"])
            report(f"{connections} connections", result, carried / max(1, blocks), receiver.pid)
            if go is not None:
                other = saturated(theirs_port, go.pid, connections, arguments.seconds)
                report("  the receiver in Go", other, 0, go.pid)
                print(
                    f"  ratio: {result['cpu_us'] / other['cpu_us']:.2f} × its CPU a webhook, "
                    f"{result['requests_s'] / other['requests_s']:.2f} × its requests/s"
                )
        half = uvloop.run(load(port, receiver.pid, 64, arguments.seconds, best / 2))
        report("half of that rate", half, 0, receiver.pid)
        beside, slowest = uvloop.run(beside_large(port, receiver.pid, arguments.seconds, best / 2))
        report("the same beside two 3 MB bodies a second", beside, 0, receiver.pid)
        print(f"slowest 3 MB body: {slowest:.0f} ms")
        accepted = uvloop.run(many_large(port))
        print(f"32 of them, 16 at once: {accepted} accepted, RSS {rss_mib(receiver.pid):.0f} MiB")
        time.sleep(3)
        print(f"three seconds later: RSS {rss_mib(receiver.pid):.0f} MiB")


def main() -> None:
    """Run the measurements and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--connections", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--port-base", type=int, default=25_090)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    root = Path(tempfile.mkdtemp(prefix="mkchannels-bench-"))
    root.chmod(0o755)
    settings = prepare(root)

    async def create_topics(kafka: str) -> None:
        async with TopicAdmin(kafka, TopicSettings()) as admin:
            await admin.ensure([topics.BY_NAME[topics.RAW]])

    try:
        peer = build_peer(root)
        with LocalStack(root / "stack", port_base=arguments.port_base, profile="bench") as stack:
            asyncio.run(create_topics(stack.endpoints.kafka))
            measure(stack.endpoints.kafka, settings, peer, arguments)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def report(name: str, result: dict[str, float], per_block: float, pid: int) -> None:
    """One line."""
    print(
        f"{name}: {result['requests_s']:,.0f} requests/s, {result['cpu_us']:.1f} CPU µs each "
        f"({result['cpu_share']:.0%} of the core), p50 {result['p50_ms']:.1f} ms, p99 {result['p99_ms']:.1f} ms, "
        f"{per_block:.1f} deliveries a block, {result['refused']:.0f} refused, RSS {rss_mib(pid):.0f} MiB"
    )


if __name__ == "__main__":
    main()
