"""Connections of the public port: deadlines for headers and bodies, a cap, a slim request for the common case.

Uses aiohttp's low-level server through its extension points. One sweep looks at all connections; no connection or request
has a timer of its own. Must never log what a client sent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion11, RawRequestMessage
from aiohttp.streams import StreamReader

from contracts.errors import RequestTimeout
from ingest import answers
from ingest.counts import Counts

SWEEP_S: Final = 0.5
"""How often connections are looked at; oftener if a deadline is shorter than two seconds."""
_CLOSING_S: Final = 10.0
_READ_BUFFER_BYTES: Final = 64 * 1024
_LINGER_S: Final = 2.0

_SILENT: Final = logging.getLogger("ingest.http")
_SILENT.disabled = True  # aiohttp reports refused requests here with their text; we count them instead


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds of the public port. Times in seconds."""

    max_connections: int = 2048
    header_deadline_s: float = 5.0
    body_deadline_s: float = 10.0
    keepalive_s: float = 75.0


class SlimRequest(web.BaseRequest):
    """A plain keep-alive HTTP/1.1 POST with Content-Length: what our handler and aiohttp's server touch, and no more."""

    def __init__(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> None:
        # Deliberately not super().__init__: it asks the transport for addresses and copies what nobody reads here.
        self._message = message
        self._payload = payload
        self._protocol = protocol
        self._payload_writer = writer
        self._headers = message.headers
        self._task = task


class Connection(web.RequestHandler):
    """One client's connection, with what the sweep needs to know about it."""

    __slots__ = (
        "_closing_since",
        "_gate",
        "_partial_since",
        "_reading",
        "_reading_since",
        "_refused",
        "_wire",
        "message",
        "payload",
    )

    def __init__(self, gate: ConnectionServer, **arguments: Any) -> None:
        super().__init__(gate, **arguments)
        self._gate = gate
        self._wire: asyncio.Transport | None = None
        self._partial_since = 0.0
        """When the first byte of a request came whose headers are not complete; 0 if there is none."""
        self._reading: StreamReader | None = None
        """The body that is being received."""
        self._reading_since = 0.0
        self._closing_since = 0.0
        self._refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the client, or turn it away at once if there are too many."""
        # A cast and not a check: uvloop's transports implement the interface without inheriting from it.
        wire = self._wire = cast(asyncio.Transport, transport)
        self._partial_since = self._gate.now
        if not self._gate.admit(self):
            self._refused = True
            wire.write(answers.OVERLOADED.raw_close)
            wire.close()
            return
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the client."""
        self._gate.leave(self)
        self._reading = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes came; note when a request began whose headers are still missing."""
        if self._refused:
            return
        if data and not self._partial_since and self._reading is None:
            # aiohttp calls this without data, too, to go on parsing what it has.
            self._partial_since = self._gate.now
        super().data_received(data)

    def request_began(self, message: RawRequestMessage, payload: StreamReader) -> None:
        """The headers of a request are complete."""
        self.message, self.payload = message, payload
        self._partial_since = 0.0
        if not payload.is_eof():
            self._reading = payload
            self._reading_since = self._gate.now

    @property
    def busy(self) -> bool:
        """True while a request is being answered."""
        return self._current_request is not None

    def body_ended(self) -> None:
        """The body of the request is complete, or not wanted."""
        self._reading = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Constant text instead of aiohttp's, which quotes the request; closes the connection."""
        if status == 400:
            self._gate.counts.rejected["malformed_request"] += 1
            return answers.MALFORMED.response(close=True)
        return answers.INTERNAL.response(close=True)

    def sweep(self, now: float, limits: ConnectionLimits) -> None:
        """Close the connection if its client is too slow."""
        wire = self._wire
        if wire is None:
            return
        if wire.is_closing():
            # A client that does not read its last answer must not keep its place.
            if not self._closing_since:
                self._closing_since = now
            elif now - self._closing_since > _CLOSING_S:
                wire.abort()
        elif self._reading is not None:
            if now - self._reading_since > limits.body_deadline_s:
                self._reading.set_exception(RequestTimeout("the body did not arrive in time"))
                self._reading = None
        elif self._partial_since and now - self._partial_since > limits.header_deadline_s:
            self._partial_since = 0.0
            if not self.busy:
                self._gate.counts.rejected["request_timeout"] += 1
                wire.write(answers.TIMEOUT.raw_close)
                self.force_close()


class ConnectionServer(web.Server):
    """Makes connections and sweeps over them."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        counts: Counts,
        limits: ConnectionLimits,
    ) -> None:
        super().__init__(handler, request_factory=self._request)
        self._own_loop = asyncio.get_running_loop()
        self.counts = counts
        self.now = self._own_loop.time()
        """Monotonic seconds of the last sweep: precise enough for deadlines, and free to read."""
        self._limits = limits
        self._open: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._every_s = min(SWEEP_S, limits.header_deadline_s / 4, limits.body_deadline_s / 4)

    def __call__(self) -> Connection:
        """A new connection's protocol."""
        return Connection(
            self,
            loop=self._own_loop,
            logger=_SILENT,
            access_log=None,
            keepalive_timeout=self._limits.keepalive_s,
            lingering_time=_LINGER_S,
            read_bufsize=_READ_BUFFER_BYTES,
            auto_decompress=False,  # the signature covers the bytes on the wire
        )

    def start_sweeping(self) -> None:
        """Begin to enforce the deadlines."""
        self._timer = self._own_loop.call_later(self._every_s, self._sweep)

    async def drain(self, timeout_s: float) -> None:
        """Let requests that are under way be answered, then end every connection."""
        deadline = self._own_loop.time() + timeout_s
        # aiohttp's own shutdown stops reading first, which would cut bodies that are half here.
        while any(connection.busy for connection in self._open):
            if self._own_loop.time() > deadline:
                break
            await asyncio.sleep(0.02)
        self.pre_shutdown()
        await asyncio.sleep(0)
        await self.shutdown(1.0)
        if self._timer is not None:
            self._timer.cancel()

    def admit(self, connection: Connection) -> bool:
        """False, and counted, if the cap is reached."""
        if len(self._open) >= self._limits.max_connections:
            self.counts.rejected["overloaded_connections"] += 1
            return False
        self._open.add(connection)
        return True

    def leave(self, connection: Connection) -> None:
        """The connection ended."""
        self._open.discard(connection)

    def open_connections(self) -> int:
        """How many clients are connected."""
        return len(self._open)

    def _sweep(self) -> None:
        self.now = now = self._own_loop.time()
        for connection in list(self._open):
            connection.sweep(now, self._limits)
        self._timer = self._own_loop.call_later(self._every_s, self._sweep)

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        assert isinstance(protocol, Connection)
        protocol.request_began(message, payload)
        if (
            message.method == hdrs.METH_POST
            and not message.should_close
            and not message.chunked
            and not message.upgrade
            and message.version == HttpVersion11
            and hdrs.EXPECT not in message.headers
        ):
            return SlimRequest(message, payload, protocol, writer, task)
        return web.BaseRequest(message, payload, protocol, writer, task, self._own_loop)
