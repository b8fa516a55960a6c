"""Every answer of the receiver: constant bytes, but for a callback's confirmation code.

Must never contain anything of a request but a handshake's challenge.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from contracts.errors import Overloaded, TooManyRequests

_JSON: Final = "application/json"
SERVER: Final = "mkchannels"


class ConstantAnswer(web.StreamResponse):
    """One prebuilt byte string, written as it is. For requests whose connection needs no negotiation."""

    def __init__(self, raw: bytes, *, status: int, close: bool) -> None:
        super().__init__(status=status)
        self._raw = raw
        self._closes = close

    @property
    def keep_alive(self) -> bool:
        """False: the server closes the connection after this answer."""
        return not self._closes

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write it. Raises ConnectionResetError if the client is gone or does not read its answers."""
        protocol = request.protocol
        transport = protocol.transport
        if transport is None or protocol.writing_paused:
            raise ConnectionResetError
        transport.write(self._raw)
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to write."""


class Answer:
    """One outcome in its forms: constant for slim requests, aiohttp's own for all others."""

    def __init__(
        self,
        status: int,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        close: bool = False,
        body: bytes = b"",
    ) -> None:
        """`code` becomes the body `{"error":"<code>"}`, `body` is one in JSON; `close`: the connection ends after it in
        any case.
        """
        self.status = status
        self.closes = close
        self._body = body if code is None else b'{"error":"%s"}' % code.encode()
        self._headers = dict(headers or {})
        # Without it aiohttp names itself and the interpreter with their versions.
        self._headers["Server"] = SERVER
        if self._body:
            self._headers["Content-Type"] = _JSON
        self.keep = ConstantAnswer(self._bytes(close), status=status, close=close)
        self.close = ConstantAnswer(self._bytes(True), status=status, close=True)

    def _bytes(self, close: bool) -> bytes:
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in self._headers.items()]
        lines.append(f"Content-Length: {len(self._body)}")
        if close:
            lines.append("Connection: close")
        return "\r\n".join((*lines, "", "")).encode() + self._body

    @property
    def raw_close(self) -> bytes:
        """The bytes for a connection that is closed without a request."""
        return self._bytes(True)

    def response(self, *, close: bool) -> web.Response:
        """aiohttp's own response: honours HTTP/1.0, HEAD and `Connection`."""
        response = web.Response(status=self.status, body=self._body, headers=self._headers)
        if close or self.closes:
            response.force_close()
        return response


_RETRY: Final = {"Retry-After": str(Overloaded.retry_after_s)}

ACCEPTED: Final = Answer(200)
MALFORMED: Final = Answer(400, "malformed_request", close=True)
INVALID_SIGNATURE: Final = Answer(401, "invalid_signature")
VERIFY_TOKEN_MISMATCH: Final = Answer(403, "verify_token_mismatch")
UNKNOWN_APP: Final = Answer(404, "unknown_app")
NOT_FOUND: Final = Answer(404, "not_found")
POST_ONLY: Final = Answer(405, "method_not_allowed", {"Allow": "POST"})
METHOD_NOT_ALLOWED: Final = Answer(405, "method_not_allowed", {"Allow": "GET, POST"})
TIMEOUT: Final = Answer(408, "request_timeout", close=True)
TOO_LARGE: Final = Answer(413, "payload_too_large", close=True)
EXPECTATION_FAILED: Final = Answer(417, "malformed_request", close=True)
INTERNAL: Final = Answer(500, "internal", close=True)
OVERLOADED: Final = Answer(503, "overloaded", _RETRY)

BY_CODE: Final[Mapping[str, Answer]] = {
    "invalid_signature": INVALID_SIGNATURE,
    "malformed_request": Answer(400, "malformed_request"),
    "verify_token_mismatch": VERIFY_TOKEN_MISMATCH,
    "unknown_app": UNKNOWN_APP,
    "payload_too_large": TOO_LARGE,
    "request_timeout": TIMEOUT,
    "overloaded": OVERLOADED,
    "unsupported_algorithm": Answer(400, "unsupported_algorithm"),
    "too_many_requests": Answer(
        429, "too_many_requests", {"Retry-After": str(TooManyRequests.retry_after_s)}
    ),
}
"""The answer to each `RequestRejected`, by its code."""


def challenge(text: bytes) -> web.Response:
    """A handshake's answer: the challenge and nothing else."""
    return web.Response(
        body=text,
        headers={
            "Content-Type": "text/plain; charset=utf-8",
            "X-Content-Type-Options": "nosniff",
            "Server": SERVER,
        },
    )
