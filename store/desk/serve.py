"""The public port of the desk: one page, short connections, so many for each address. Must never log what a visitor sent."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import parse_qsl

from aiohttp import hdrs, web

from contracts import metrics
from contracts.errors import TransientError
from runtime.logging import get_logger
from runtime.metrics import ProcessMetrics
from runtime.pace import Pace
from store.desk.page import HEADERS, Page, away_page, limited_page, status_page, unknown_page
from store.desk.requests import standing
from store.desk.words import chosen

if TYPE_CHECKING:
    from store.desk.requests import Pool

PATH: Final = "/erasure/"
RETRY_AFTER_S: Final = 60
_CONNECTION_S: Final = 10.0
_ADDRESSES: Final = 20_000
_LONGEST_CODE: Final = 128
_SILENT: Final = logging.getLogger("desk.http")
_SILENT.disabled = True  # aiohttp reports refused requests here with their text; we count them instead


class _Connection(web.RequestHandler):
    """One client's connection: it ends after one answer, and after ten seconds whatever happens."""

    __slots__ = ("_end", "_gate")

    def __init__(self, gate: DeskServer, **arguments: Any) -> None:
        super().__init__(gate, **arguments)
        self._gate = gate
        self._end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the client, or turn it away if there are too many."""
        # A cast and not a check: uvloop's transports implement the interface without inheriting from it.
        wire = cast(asyncio.Transport, transport)
        if not self._gate.admit(self):
            wire.abort()
            return
        self._end = asyncio.get_running_loop().call_later(_CONNECTION_S, wire.abort)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the client."""
        if self._end is not None:
            self._end.cancel()
            self._gate.leave(self)
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """What a client says that was turned away is not read."""
        if self._end is not None:
            super().data_received(data)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Constant text instead of aiohttp's, which quotes the request."""
        self._gate.count("other")
        response = web.Response(status=400 if status == 400 else 500, headers=HEADERS)
        response.force_close()
        return response


class DeskServer(web.Server):
    """Answers every request of the public port."""

    def __init__(
        self,
        pool: Pool,
        process: ProcessMetrics,
        *,
        pages_per_minute: int,
        trusted_proxies: int,
        max_connections: int,
    ) -> None:
        super().__init__(self._answer)
        self._own_loop = asyncio.get_running_loop()
        self._pool, self._process = pool, process
        self._pace = Pace(pages_per_minute / 60, pages_per_minute, _ADDRESSES)
        self._trusted_proxies = trusted_proxies
        self._max_connections = max_connections
        self._open: set[_Connection] = set()

    def __call__(self) -> _Connection:
        """A new connection's protocol."""
        return _Connection(
            self,
            loop=self._own_loop,
            logger=_SILENT,
            access_log=None,
            keepalive_timeout=0,
            lingering_time=1.0,
        )

    def admit(self, connection: _Connection) -> bool:
        """False, and counted, if there are too many."""
        if len(self._open) >= self._max_connections:
            self.count("limited")
            return False
        self._open.add(connection)
        return True

    def leave(self, connection: _Connection) -> None:
        """The connection ended."""
        self._open.discard(connection)

    def count(self, result: str) -> None:
        """One more answer of that kind."""
        self._process.counter(metrics.DESK_PAGES, result).inc()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        language = chosen(_language_of(request.query_string), request.headers.get(hdrs.ACCEPT_LANGUAGE, ""))
        extra: dict[str, str] = {}
        if request.method not in (hdrs.METH_GET, hdrs.METH_HEAD):
            result, page, extra = "other", Page(405, b""), {hdrs.ALLOW: "GET, HEAD"}
        elif not self._pace.take(self._visitor(request), self._own_loop.time()):
            result, page, extra = "limited", limited_page(language), {hdrs.RETRY_AFTER: str(RETRY_AFTER_S)}
        else:
            try:
                # Also what is no code is looked up: the answer takes as long.
                path = request.path
                code = path.removeprefix(PATH)[:_LONGEST_CODE] if path.startswith(PATH) else ""
                found = await standing(self._pool, code)
                result = "unknown" if found is None else "shown"
                page = unknown_page(language) if found is None else status_page(found, language)
            except TransientError as exc:
                get_logger().warning("page.unavailable", exc=exc)
                result, page, extra = (
                    "unavailable",
                    away_page(language),
                    {hdrs.RETRY_AFTER: str(RETRY_AFTER_S)},
                )
        self.count(result)
        response = web.Response(
            status=page.status,
            body=page.html,
            headers={
                **HEADERS,
                **extra,
                hdrs.CONTENT_TYPE: "text/html; charset=utf-8",
                hdrs.CONTENT_LANGUAGE: language,
                hdrs.SERVER: "mkchannels",
            },
        )
        response.force_close()
        return response

    def _visitor(self, request: web.BaseRequest) -> str:
        """The visitor's address; of IPv6 its /64, which one household has whole."""
        named = request.remote or ""
        if self._trusted_proxies:
            forwarded = ",".join(request.headers.getall(hdrs.X_FORWARDED_FOR, ())).split(",")
            # What stands further left the visitor may have written there.
            named = (
                forwarded[-self._trusted_proxies].strip()
                if len(forwarded) >= self._trusted_proxies
                else named
            )
        try:
            address = ipaddress.ip_address(named)
        except ValueError:
            return "unknown"
        if isinstance(address, ipaddress.IPv6Address):
            return str(ipaddress.ip_network((address, 64), strict=False))
        return str(address)


def _language_of(query: str) -> str | None:
    try:
        found = dict(parse_qsl(query[:200], max_num_fields=8))
    except ValueError:
        return None
    return found.get("lang")
