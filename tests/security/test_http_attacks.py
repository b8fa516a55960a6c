"""Attacks on the receiver's public port, against the running process: nothing accepted, nobody kept waiting, no memory lost."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingest.cli_post import meta_headers
from tests.security.conftest import Secured
from tests.security.http_attacks import smuggled
from tests.support.bodies import PAGE, encode, messenger

PATH = "/webhooks/meta/demo"
ACCEPTED = "mk_ingest_deliveries_accepted_total"
SLOW = 300
GROWTH = 48 << 20
"""Bytes of memory that an attack may leave behind: what the allocator keeps, not what anybody holds."""


def port(secured: Secured) -> int:
    return secured.world.service.ports.receiver


def accepted(secured: Secured) -> float:
    """Deliveries answered 200 so far, over all apps."""
    found = secured.world.metrics("ingest")
    return sum(value for name, value in found.items() if name.startswith(ACCEPTED))


def rss(secured: Secured) -> int:
    """Bytes of the receiver's memory that are in RAM."""
    status = Path(f"/proc/{secured.world.node('ingest').pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) * 1024


def signed(secured: Secured, body: bytes, path: str = PATH, **more: str) -> bytes:
    """A whole request that is right but for its path or what is added."""
    headers = {"Host": "x", "Content-Length": str(len(body))}
    headers |= meta_headers(body, secured.world.service.app_secret())
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join((*lines, "", "")).encode() + body


def delivery(number: int = 0) -> bytes:
    return encode(messenger(f"m_attack{number}", "attack", page=PAGE))


async def exchange(secured: Secured, sent: bytes, timeout_s: float = 30) -> bytes:
    """What is answered until the server closes, or has said something and is silent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port(secured))
    received = b""
    try:
        writer.write(sent)
        while True:
            part = await asyncio.wait_for(reader.read(65_536), 0.25 if received else timeout_s)
            if not part:
                return received
            received += part
    except TimeoutError:
        return received
    except OSError:
        return received or b"<reset>"
    finally:
        writer.close()


def statuses(answer: bytes) -> list[int]:
    """Of every answer in it."""
    return [int(part[2:5]) for part in answer.split(b"HTTP/1.")[1:]]


@contextmanager
def undisturbed(secured: Secured) -> Iterator[None]:
    """Nothing is accepted meanwhile, little memory is kept, and the next good delivery is answered 200."""
    before, memory = accepted(secured), rss(secured)
    yield
    assert accepted(secured) == before
    assert rss(secured) - memory < GROWTH
    assert secured.world.post(delivery()) == 200
    assert secured.world.dead() == set()


async def test_no_smuggled_delivery_is_accepted(secured: Secured) -> None:
    assert await asyncio.to_thread(secured.world.post, delivery()) == 200
    with undisturbed(secured):
        cases = list(smuggled(PATH, signed(secured, delivery(1))))
        assert len(cases) > 50
        answers = await asyncio.gather(*(exchange(secured, raw) for _, raw in cases))
        for (name, _), answer in zip(cases, answers, strict=True):
            found = statuses(answer)
            # One answer at most, and no 200 in it: whatever came behind was not read as a request.
            assert len(found) <= 1, (name, found)
            assert set(found) <= {400, 401, 403, 405, 408, 413, 501, 505}, (name, found)


async def test_a_signature_in_a_trailer_counts_for_nothing(secured: Secured) -> None:
    body = delivery(2)
    mark = meta_headers(body, secured.world.service.app_secret())["X-Hub-Signature-256"]
    start = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Hub-Signature-256\r\n\r\n"
    chunks = b"%x\r\n" % len(body) + body + f"\r\n0\r\nX-Hub-Signature-256: {mark}\r\n\r\n".encode()
    with undisturbed(secured):
        assert statuses(await exchange(secured, start.encode() + chunks)) == [401]


PATHS = (
    "//webhooks/meta/demo",
    "/webhooks//meta/demo",
    "/webhooks/meta/./demo",
    "/webhooks/meta/x/../demo",
    "/webhooks/meta/%2e%2e/meta/demo",
    "/webhooks/meta/dem%6f",
    "/webhooks/meta%2fdemo",
    "/webhooks/meta/demo/",
    "/webhooks/meta/demo%00",
    "/webhooks/meta/demo;a=b",
    "/webhooks/meta/demo/../../../etc/passwd",
    "/webhooks/meta/demo\\..",
    "/WEBHOOKS/META/DEMO",
    "/webhooks/meta/DEMO",
    "/webhooks/meta/démo",
    "/webhooks/meta/",
    "/metrics",
    "/readyz",
    "/livez",
    "/",
    "*",
    "http://127.0.0.1/metrics",
)


async def test_a_path_that_is_not_exactly_an_apps_is_no_app(secured: Secured) -> None:
    with undisturbed(secured):
        sent = (exchange(secured, signed(secured, delivery(3), path)) for path in PATHS)
        for path, answer in zip(PATHS, await asyncio.gather(*sent), strict=True):
            assert statuses(answer) in ([400], [404], [405]), path


async def test_header_bombs_are_cut_off(secured: Secured) -> None:
    start = f"POST {PATH} HTTP/1.1\r\nHost: x\r\n".encode()
    bombs = (
        start + b"A: b\r\n" * 200_000,
        start + b"A: " + b"b" * 4_000_000,
        start + b"A" * 4_000_000 + b": b\r\n",
        start + b"".join(b"A%d: b\r\n" % number for number in range(100_000)),
        b"POST /" + b"a" * 4_000_000 + b" HTTP/1.1\r\n",
        b"A" * 4_000_000,
        b"\r\n" * 1_000_000,
        start + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"a" * 4_000_000,
    )
    with undisturbed(secured):
        answers = await asyncio.gather(*(exchange(secured, bomb) for bomb in bombs))
        for bomb, answer in zip(bombs, answers, strict=True):
            assert statuses(answer) in ([], [400], [401], [408], [431]), bomb[:40]


async def test_a_compression_bomb_is_bytes_to_us(secured: Secured) -> None:
    """64 MiB in 64 KiB: unsigned it is refused, signed by Meta's secret it is evidence, in neither case unpacked."""
    bomb = gzip.compress(b"\0" * (64 << 20))
    memory = rss(secured)
    with undisturbed(secured):
        for coding in ("gzip", "deflate", "gzip, gzip"):
            raw = signed(secured, bomb, Content_Encoding=coding).replace(b"sha256=", b"sha256=0", 1)
            assert statuses(await exchange(secured, raw)) == [401], coding
    before = _set_aside(secured)
    raw = signed(secured, bomb, Content_Encoding="gzip")
    assert statuses(await exchange(secured, raw)) == [200]
    await asyncio.to_thread(
        secured.world.wait_until, lambda: _set_aside(secured) == before + 1, 15, "the bomb to be set aside"
    )
    assert rss(secured) - memory < GROWTH
    assert secured.world.dead() == set()


def _set_aside(secured: Secured) -> int:
    told = secured.world.ledger()[1]["tenants"]
    return sum(int(one["quarantined_by_reason"].get("not_json", 0)) for one in told.values())


class GoodTraffic(threading.Thread):
    """Deliveries one after the other on one connection, as long as it is let."""

    def __init__(self, secured: Secured) -> None:
        super().__init__(daemon=True)
        self._secured = secured
        self._enough = threading.Event()
        self.statuses: list[int] = []

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port(self._secured), timeout=30)
        while not self._enough.is_set():
            self.statuses.append(self._secured.world.post_on(connection, delivery(4)))
            time.sleep(0.01)
        connection.close()

    def end(self) -> list[int]:
        """The statuses of all."""
        self._enough.set()
        self.join(30)
        return self.statuses


async def test_hundreds_of_slow_clients_are_closed_and_good_ones_are_answered_meanwhile(
    secured: Secured,
) -> None:
    whole = signed(secured, delivery(5))
    head, body = whole.partition(b"\r\n\r\n")[0], delivery(5)
    memory = rss(secured)
    good = GoodTraffic(secured)
    slow = [await asyncio.open_connection("127.0.0.1", port(secured)) for _ in range(2 * SLOW)]
    good.start()
    try:
        for number, (_, writer) in enumerate(slow):
            # Half of them never end their headers, half of them stop in the body.
            writer.write(head[:40] if number % 2 else head + b"\r\n\r\n" + body[:10])
        answers = await asyncio.gather(*(_until_closed(reader, writer) for reader, writer in slow))
    finally:
        found = await asyncio.to_thread(good.end)
    assert set(answers) <= {408, 0}
    assert answers.count(408) > SLOW
    assert len(found) > 20
    assert set(found) == {200}
    assert rss(secured) - memory < GROWTH
    assert secured.world.metrics("ingest")["mk_ingest_connections"] < 20


async def _until_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    """Drip on until the server ends it; its status, 0 if the connection was reset."""
    answer = b""
    try:
        async with asyncio.timeout(60):
            while not (answer := await _read_a_while(reader)):
                writer.write(b"a")
            await reader.read()
    except ConnectionError:
        pass
    finally:
        writer.close()
    return statuses(answer)[0] if answer.startswith(b"HTTP/1.") else 0


async def _read_a_while(reader: asyncio.StreamReader) -> bytes:
    try:
        return await asyncio.wait_for(reader.read(4_096), 0.5) or b"closed"
    except TimeoutError:
        return b""
