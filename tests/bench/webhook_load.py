"""Webhooks as Meta posts them, as many as a receiver takes or at a rate: by a client in Python, or by `wrk` where it is installed."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import tempfile
import time

import uvloop

from ingest.cli_post import meta_headers
from tests.bench.receiver_alone import SECRET, cpu_s

BODY_BYTES = 772
PATH = "/webhooks/meta/demo"


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


async def many_large(port: int) -> int:
    """Sixteen bodies of 3 MB at once, twice: how many were accepted. The others were answered 503, as the queue is full."""
    answers = [await asyncio.gather(*(large(port) for _ in range(16))) for _ in range(2)]
    return sum(accepted for several in answers for accepted, _ in several)


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
