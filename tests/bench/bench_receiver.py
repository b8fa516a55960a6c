"""What a webhook costs the receiver: `python -m tests.bench.bench_receiver`.

Real broker, receiver alone on core 0, broker and load on core 1; signed 772-byte WhatsApp bodies with Meta's headers, 200
after acks=all. Prints requests/s, CPU µs per webhook, p50 and p99, deliveries per block and RSS; where Go is installed
the same of `peers/go-receiver` (net/http and franz-go, which neither seals nor batches by itself) and the ratio. `wrk`
makes the load where it is installed, else a client in Python, which needs more of core 1. Compare only within one run.
"""

import argparse
import asyncio
import base64
import contextlib
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvloop

from contracts import topics
from contracts.hybrid import HybridPrivateKey
from contracts.key_file import RAW_KEYS, PublishedKey
from contracts.signing import Signer
from deploy.local.stack import LocalStack
from ingest.cli_post import meta_headers
from runtime.files import write_atomic
from runtime.kafka.topics import TopicAdmin, TopicSettings

REPOSITORY = Path(__file__).parents[2]
SECRET = b"bench-secret"
BODY_BYTES = 772
PATH = "/webhooks/meta/demo"
PEER = Path(__file__).parent / "peers" / "go-receiver"


def body(number: int) -> bytes:
    """A WhatsApp text message of 772 bytes of one of many accounts."""
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550100000", "phone_number_id": str(10**14 + number)},
        "contacts": [{"profile": {"name": "A Customer"}, "wa_id": "5531988888888"}],
        "messages": [
            {
                "from": "5531988888888",
                "id": "wamid." + "A" * 60,
                "timestamp": "1790000000",
                "type": "text",
                "text": {"body": ""},
            }
        ],
    }
    document = {
        "object": "whatsapp_business_account",
        "entry": [{"id": str(10**14 + number), "changes": [{"value": value, "field": "messages"}]}],
    }
    encoded = json.dumps(document, separators=(",", ":")).encode()
    return encoded.replace(b'"body":""', b'"body":"' + b"t" * (BODY_BYTES - len(encoded)) + b'"')


def wire(content: bytes) -> bytes:
    """The request as Meta sends it."""
    headers = {"Host": "127.0.0.1", **meta_headers(content, SECRET), "Content-Length": str(len(content))}
    lines = [f"POST {PATH} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join((*lines, "", "")).encode() + content


class Client(asyncio.Protocol):
    """One connection that posts again as soon as it is answered, or at its turn if the rate is bounded."""

    def __init__(self, requests: list[bytes], times: list[float], interval_s: float) -> None:
        self._requests, self._times, self._interval_s = requests, times, interval_s
        self._transport: asyncio.Transport | None = None
        self._sent = 0.0
        self._number = 0
        self._due = 0.0
        self.stopped = False
        self.refused = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport  # type: ignore[assignment]
        self._due = time.perf_counter()
        self.post()

    def post(self) -> None:
        """Send the next request."""
        if self._transport is None or self.stopped:
            return
        self._number += 1
        self._sent = max(self._due, time.perf_counter()) if not self._interval_s else self._due
        self._transport.write(self._requests[self._number % len(self._requests)])

    def data_received(self, data: bytes) -> None:
        """An answer."""
        now = time.perf_counter()
        if data.startswith(b"HTTP/1.1 200"):
            self._times.append(now - self._sent)
        else:
            self.refused += 1
        if not self._interval_s:
            self.post()
            return
        self._due += self._interval_s
        if self._due <= now:
            self.post()
        else:
            asyncio.get_running_loop().call_later(self._due - now, self.post)

    def close(self) -> None:
        """End."""
        self.stopped = True
        if self._transport is not None:
            self._transport.close()


def cpu_s(pid: int) -> float:
    """User and system seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mib(pid: int) -> float:
    """Resident memory now."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def sample(port: int, name: str) -> float:
    """One sample of the metrics page."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/metrics")
    for line in connection.getresponse().read().decode().splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    return 0.0


async def load(port: int, pid: int, connections: int, seconds: float, rate: float = 0.0) -> dict[str, float]:
    """Run `connections` clients for `seconds`; `rate` bounds their sum (0: as fast as answers come)."""
    requests = [wire(body(number)) for number in range(64)]
    times: list[float] = []
    loop = asyncio.get_running_loop()
    clients: list[Client] = []
    for number in range(connections):
        client = Client(
            requests[number % 64 :] + requests[: number % 64], times, connections / rate if rate else 0
        )
        clients.append(client)
        await loop.create_connection(lambda made=client: made, "127.0.0.1", port)  # type: ignore[misc]
        if rate:
            await asyncio.sleep(1 / rate)
    await asyncio.sleep(1.0)
    times.clear()
    began, cpu = time.perf_counter(), cpu_s(pid)
    await asyncio.sleep(seconds)
    lasted, used = time.perf_counter() - began, cpu_s(pid) - cpu
    ordered = sorted(times)
    for client in clients:
        client.close()
    await asyncio.sleep(0.2)
    return {
        "requests_s": len(ordered) / lasted,
        "cpu_us": used / max(1, len(ordered)) * 1e6,
        "cpu_share": used / lasted,
        "p50_ms": ordered[len(ordered) // 2] * 1e3,
        "p99_ms": ordered[int(len(ordered) * 0.99)] * 1e3,
        "refused": float(sum(client.refused for client in clients)),
    }


_LARGE = wire(b"[" + os.urandom(1_499_999).hex().encode() + b"]")


async def large(port: int) -> tuple[bool, float]:
    """Whether a signed 3 MB body was accepted, and after how many milliseconds the answer came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.perf_counter()
    writer.write(_LARGE)
    answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return answer.startswith(b"HTTP/1.1 200"), (time.perf_counter() - began) * 1e3


async def beside_large(port: int, pid: int, seconds: float, rate: float) -> tuple[dict[str, float], float]:
    """The load of small bodies while large ones come, and the slowest of the large in milliseconds."""
    loading = asyncio.create_task(load(port, pid, 64, seconds, rate))
    taken: list[float] = []
    while not loading.done():
        accepted, milliseconds = await large(port)
        if not accepted:
            raise SystemExit("the large body was not answered 200")
        taken.append(milliseconds)
        await asyncio.sleep(0.5)
    return await loading, max(taken)


def prepare(folder: Path) -> dict[str, str]:
    """Keys, secrets and the settings that name them."""
    now = datetime.now(UTC)
    router = Signer.from_bytes("router", os.urandom(32))
    key = PublishedKey(
        public_key=base64.b64encode(HybridPrivateKey.generate().public.raw),
        active_from=now - timedelta(hours=1),
        seal_until=now + timedelta(hours=1),
    )
    files = {
        "signing.key": os.urandom(32),
        "router.pub": base64.b64encode(router.public_raw),
        "raw_keys.json": RAW_KEYS.encode((key,), router),
        "secret": SECRET,
        "token": b"token",
        "apps.json": b'{"apps":{"demo":{"secrets":[{"id":"s","file":"secret"}],"verify_token_file":"token"}}}',
    }
    for name, content in files.items():
        write_atomic(folder / name, content)
    return {
        "MKC_INGEST_SIGNING_KEY_FILE": str(folder / "signing.key"),
        "MKC_INGEST_ROUTER_KEY_FILE": str(folder / "router.pub"),
        "MKC_INGEST_RAW_KEYS_FILE": str(folder / "raw_keys.json"),
        "MKC_INGEST_APPS_FILE": str(folder / "apps.json"),
        "MKC_INGEST_REQUEST_KEYS_FILE": str(folder / "request_keys.json"),
        "MKC_INGEST_CUSTODIAN_KEY_FILE": str(folder / "router.pub"),
        "MKC_INGEST_ERASURE_PAGE_URL": "http://127.0.0.1/erasure",
    }


def wrk(port: int, pid: int, connections: int, seconds: float) -> dict[str, float]:
    """The same load made by `wrk`, which leaves more of core 1 to the broker than a client in Python does."""
    script = tempfile.NamedTemporaryFile("w", suffix=".lua")  # noqa: SIM115
    with script:
        contents = [body(number) for number in range(64)]
        # In `init`: only there does wrk know the host, which it must name in each request.
        script.write("local requests, at = {}, 0\nfunction init()\n")
        for content in contents:
            headers = ", ".join(
                f"[{json.dumps(name)}] = {json.dumps(value)}"
                for name, value in meta_headers(content, SECRET).items()
            )
            script.write(
                f'requests[#requests + 1] = wrk.format("POST", "{PATH}", {{{headers}}}, [[{content.decode()}]])\n'
            )
        script.write("end\nfunction request() at = at % #requests + 1; return requests[at] end\n")
        script.flush()
        command = ["wrk", "--latency", "-t1", f"-c{connections}", f"-d{seconds + 1:.0f}s", "-s", script.name]
        process = subprocess.Popen([*command, f"http://127.0.0.1:{port}"], stdout=subprocess.PIPE, text=True)
        time.sleep(0.3)
        began, cpu = time.perf_counter(), cpu_s(pid)
        time.sleep(seconds)
        lasted, used = time.perf_counter() - began, cpu_s(pid) - cpu
        output, _ = process.communicate(timeout=30)
    rate = float(re.search(r"Requests/sec:\s+([0-9.]+)", output)[1])  # type: ignore[index]
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    return {
        "requests_s": rate,
        "cpu_us": used / (rate * lasted) * 1e6,
        "cpu_share": used / lasted,
        "p50_ms": _milliseconds(output, "50%"),
        "p99_ms": _milliseconds(output, "99%"),
        "refused": float(refused[1]) if refused else 0.0,
    }


def _milliseconds(output: str, quantile: str) -> float:
    number, unit = re.search(rf"{quantile}\s+([0-9.]+)(us|ms|s)", output).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]


def saturated(port: int, pid: int, connections: int, seconds: float) -> dict[str, float]:
    """As many webhooks as the receiver takes."""
    if shutil.which("wrk"):
        return wrk(port, pid, connections, seconds)
    return uvloop.run(load(port, pid, connections, seconds))


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


@contextlib.contextmanager
def alone_on_core_0(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A receiver for as long as the context lasts."""
    process = subprocess.Popen(
        ["taskset", "-c", "0", *command],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(15)


def wait_until(condition: Callable[[], bool]) -> None:
    """Up to 20 s."""
    for _ in range(200):
        time.sleep(0.1)
        with contextlib.suppress(OSError, http.client.HTTPException):
            if condition():
                return
    raise SystemExit("the receiver did not become ready")


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


async def many_large(port: int) -> int:
    """Sixteen bodies of 3 MB at once, twice: how many were accepted. The others were answered 503, as the queue is full."""
    answers = [await asyncio.gather(*(large(port) for _ in range(16))) for _ in range(2)]
    return sum(accepted for several in answers for accepted, _ in several)


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
