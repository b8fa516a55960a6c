"""One request: identify the app, read the raw bytes once, verify, wait for durability, answer. DESIGN.md section 4.

Must never answer 200 before the broker's acknowledgement, parse a body, or let a byte of one into a log or an answer.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol

from aiohttp import hdrs, http_parser, web
from aiohttp.http import HttpVersion11
from multidict import istr

from contracts.errors import (
    FatalError,
    InvalidSignature,
    MalformedRequest,
    PayloadTooLarge,
    RequestRejected,
    UnknownApp,
)
from ingest import answers, callbacks, challenge
from ingest.apps import App, Apps
from ingest.block import Cause
from ingest.callbacks import Callbacks
from ingest.connection import Connection, SlimRequest
from ingest.counts import Counts
from ingest.publish import NotPromised
from ingest.signature import Verified, claimed, verify
from runtime.logging import get_logger

PATH: Final = "/webhooks/meta/"
MAX_BODY_BYTES: Final = 4 * 1_048_576
"""Meta sends up to 3 MB (META.md section 4)."""
_SMALL_BYTES: Final = 64 * 1024
_LARGE_BYTES: Final = 512 * 1024
_SIGNATURE: Final = istr("X-Hub-Signature-256")
_CONTENT_LENGTH: Final = istr(hdrs.CONTENT_LENGTH)
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Publisher(Protocol):
    """Where verified deliveries go. `ingest.publish.BlockPublisher` is one."""

    def offer(self, app: str, verified: Verified) -> asyncio.Future[Cause | None]:
        """A future of its own, resolved with None once durable. Raises NotPromised."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bounds on bodies in bytes: one, and all large ones that are being received together."""

    max_body_bytes: int = MAX_BODY_BYTES
    max_receiving_bytes: int = 48 * 1_048_576


def require_c_parser() -> None:
    """Raises FatalError if aiohttp fell back to its parser in Python, which is slower and laxer."""
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise FatalError("aiohttp's C parser is not loaded: install aiohttp with its C extensions")


class Receiver:
    """The handler of every request on the public port."""

    def __init__(
        self,
        apps: Apps,
        publisher: Publisher,
        counts: Counts,
        limits: BodyLimits,
        callbacks: Callbacks | None = None,
    ) -> None:
        self._publisher = publisher
        self._callbacks = callbacks
        self._counts = counts
        self._limits = limits
        self._receiving = 0
        self._large_seen = False
        self._by_path: dict[str, App] = {}
        self.draining = False
        """True: every answer also ends its connection."""
        self.use(apps)

    def use(self, apps: Apps) -> None:
        """Serve these apps from the next request on."""
        self._by_path = {PATH + name: app for name, app in apps.items()}
        if self._callbacks is not None:
            self._callbacks.use(apps)

    def take_large_seen(self) -> bool:
        """True if a body of many parts came since the last call."""
        seen, self._large_seen = self._large_seen, False
        return seen

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; raises nothing but cancellation and broken connections."""
        slim = type(request) is SlimRequest
        connection = request.protocol
        assert isinstance(connection, Connection)
        try:
            if slim:
                answer = await self._deliver(connection)
            else:
                other = await self._other(request, connection)
                if isinstance(other, web.Response):
                    return other
                answer = other
        except RequestRejected as exc:
            self._count(exc)
            answer = answers.BY_CODE[exc.code]
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as exc:  # one request's defect is one 500: the others are served
            get_logger().error("request.failed", exc=exc)
            answer = answers.INTERNAL
        connection.body_ended()
        if slim:
            return answer.close if self.draining else answer.keep
        return answer.response(close=self.draining)

    async def _deliver(self, connection: Connection) -> answers.Answer:
        message = connection.message
        app = self._by_path.get(message.path) or self._find(message.path)
        if app is None:
            return await self._elsewhere(connection)
        headers = message.headers
        signatures = headers.getall(_SIGNATURE, ())
        if len(signatures) > 1:
            raise InvalidSignature("malformed")
        signature = signatures[0].encode("utf-8", "surrogateescape") if signatures else None
        payload = connection.payload
        if payload.is_eof():
            # The whole body came with the headers: nothing to wait for.
            body = payload.read_nowait()
            if len(body) > self._limits.max_body_bytes:
                raise PayloadTooLarge("the body is larger than 4 MiB")
        else:
            body = await self._read(connection, signature)
        connection.body_ended()
        if len(body) > _LARGE_BYTES:
            verified = await asyncio.to_thread(verify, body, signature, app.secrets)
        else:
            verified = verify(body, signature, app.secrets)
        self._counts.verified[app.name, verified.secret_id] += 1
        cause = await self._publisher.offer(app.name, verified)
        if cause is not None:
            raise NotPromised(cause)
        self._counts.accepted[app.name] += 1
        return answers.ACCEPTED

    async def _read(self, connection: Connection, signature: bytes | None) -> bytes:
        limit = self._limits.max_body_bytes
        announced = connection.message.headers.get(_CONTENT_LENGTH)
        if announced is not None and int(announced) > limit:
            raise PayloadTooLarge("the body is larger than 4 MiB")
        # A signature that cannot be right is refused before its body takes room.
        claimed(signature)
        held = 0
        try:
            if hdrs.EXPECT in connection.message.headers and connection.message.version == HttpVersion11:
                transport = connection.transport
                if transport is None:
                    raise ConnectionResetError
                transport.write(_CONTINUE)
            payload = connection.payload
            parts: list[bytes] = []
            size = 0
            while not payload.at_eof():
                part = await payload.readany()
                size += len(part)
                if size > limit:
                    raise PayloadTooLarge("the body is larger than 4 MiB")
                if size > _SMALL_BYTES:
                    # By what has come and not by what was announced: announcing costs a client nothing.
                    self._receiving += size - held
                    held = size
                    self._large_seen = True
                    if self._receiving > self._limits.max_receiving_bytes:
                        raise NotPromised(Cause.QUEUE_FULL)
                parts.append(part)
            return parts[0] if len(parts) == 1 else b"".join(parts)
        except web.RequestPayloadError as exc:
            raise MalformedRequest("the body is not well-formed") from exc
        finally:
            self._receiving -= held

    async def _other(self, request: web.BaseRequest, connection: Connection) -> answers.Answer | web.Response:
        """Everything but the plain keep-alive POST, through aiohttp's own request and response."""
        app = self._find(connection.message.path)
        if app is None:
            return await self._elsewhere(connection)
        if request.method == hdrs.METH_GET:
            try:
                text = challenge.answer(request.query.items(), app.verify_token)
            except RequestRejected:
                self._counts.handshakes["refused"] += 1
                raise
            self._counts.handshakes["accepted"] += 1
            response = answers.challenge(text)
            if self.draining:
                response.force_close()
            return response
        if request.method != hdrs.METH_POST:
            self._counts.rejected["malformed_request"] += 1
            return answers.METHOD_NOT_ALLOWED
        expectation = request.headers.get(hdrs.EXPECT)
        if expectation is not None and expectation.lower() != "100-continue":
            self._counts.rejected["malformed_request"] += 1
            return answers.EXPECTATION_FAILED
        return await self._deliver(connection)

    def _find(self, target: str) -> App | None:
        return self._by_path.get(target.partition("?")[0])

    async def _elsewhere(self, connection: Connection) -> answers.Answer:
        path = connection.message.path.partition("?")[0]
        if self._callbacks is not None and path.startswith(callbacks.PATH):
            return await self._callbacks.answer(connection)
        if path.startswith(PATH) and "/" not in path[len(PATH) :]:
            raise UnknownApp("no app of that name")
        self._counts.rejected["malformed_request"] += 1
        return answers.NOT_FOUND

    def _count(self, exc: RequestRejected) -> None:
        if isinstance(exc, InvalidSignature):
            code = f"invalid_signature_{exc.reason}"
        elif isinstance(exc, NotPromised):
            code = exc.cause.value
        else:
            code = exc.code
        self._counts.rejected[code] += 1
