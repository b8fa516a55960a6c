"""A receiver on a real port with a publisher that only takes notes, and raw sockets to talk to it."""

import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from contracts.erasure_requests import CallbackRequest
from contracts.errors import Overloaded
from ingest.apps import App
from ingest.block import Cause
from ingest.callbacks import Callbacks
from ingest.connection import ConnectionLimits, ConnectionServer
from ingest.counts import Counts
from ingest.publish import NotPromised
from ingest.receive import BodyLimits, Receiver
from ingest.signature import AppSecret, Verified
from runtime.metrics import ProcessMetrics

SECRET = b"wire-secret"
PATH = "/webhooks/meta/demo"
PAGE_URL = "https://people.example/erasure"
BODY = b'{"object":"page","entry":[]}'
FAST = ConnectionLimits(header_deadline_s=0.5, body_deadline_s=0.5, keepalive_s=30.0)


class Publisher:
    """Durable at once, unless told otherwise."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.cause: Cause | None = None
        self.refusal: Cause | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    def offer(self, app: str, verified: Verified) -> asyncio.Future[Cause | None]:
        assert app == "demo"
        if self.refusal is not None:
            raise NotPromised(self.refusal)
        self.bodies.append(verified.body)
        return asyncio.ensure_future(self._outcome())

    async def _outcome(self) -> Cause | None:
        await self.gate.wait()
        return self.cause


class Sender:
    """Where callbacks go: durable at once, unless told otherwise."""

    def __init__(self) -> None:
        self.requests: list[CallbackRequest] = []
        self.is_away = False

    async def send(self, request: CallbackRequest) -> None:
        if self.is_away:
            raise Overloaded("away")
        self.requests.append(request)


@dataclass(frozen=True, slots=True)
class Wire:
    """A receiver on a free port of this machine."""

    port: int
    publisher: Publisher
    receiver: Receiver
    server: ConnectionServer
    sender: Sender
    counts: Counts

    async def exchange(
        self, *sent: bytes, pause_s: float = 0.0, timeout_s: float = 20.0, idle_s: float = 0.15
    ) -> bytes:
        """Everything the server says until it closes, or has been silent for `idle_s` and did not announce that it closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for part in sent:
                writer.write(part)
                await asyncio.sleep(pause_s)
            received = b""
            async with asyncio.timeout(timeout_s):
                while True:
                    try:
                        is_kept = received and b"Connection: close" not in received
                        part = await asyncio.wait_for(reader.read(65536), idle_s if is_kept else timeout_s)
                    except TimeoutError:
                        return received
                    if not part:
                        return received + b"<closed>"
                    received += part
        except ConnectionResetError:
            return b"<reset>"
        finally:
            writer.close()


@asynccontextmanager
async def serving(
    limits: ConnectionLimits = FAST,
    bodies: BodyLimits = BodyLimits(),  # noqa: B008 - frozen
) -> AsyncIterator[Wire]:
    counts, publisher, sender = Counts(ProcessMetrics("ingest")), Publisher(), Sender()
    apps = {"demo": App("demo", (AppSecret("s", SECRET),), b"tok-primary")}
    callbacks = Callbacks(apps, sender, counts, page_url=PAGE_URL, per_s=10)
    receiver = Receiver(apps, publisher, counts, bodies, callbacks)
    server = ConnectionServer(receiver, counts, limits)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    server.start_sweeping()
    try:
        yield Wire(listener.sockets[0].getsockname()[1], publisher, receiver, server, sender, counts)
    finally:
        listener.close()
        await server.drain(1.0)


def signature(body: bytes) -> str:
    return "sha256=" + hmac.digest(SECRET, body, "sha256").hex()


def request(
    body: bytes = BODY,
    *,
    method: str = "POST",
    path: str = PATH,
    version: str = "1.1",
    length: int | None = None,
    signed: str | None = "right",
    **more: str,
) -> bytes:
    headers = {"Host": "x", "Content-Length": str(len(body) if length is None else length)}
    if signed is not None:
        headers["X-Hub-Signature-256"] = signature(body) if signed == "right" else signed
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    lines = [f"{method} {path} HTTP/{version}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join((*lines, "", "")).encode("utf-8", "surrogateescape") + body


def status(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1."), answer[:60]
    return int(answer[9:12])
