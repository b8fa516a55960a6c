"""The public port on the wire: what HTTP clients of every kind get, byte for byte. Kafka is not needed here."""

import asyncio
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ingest.apps import App
from ingest.block import Cause
from ingest.connection import ConnectionLimits, ConnectionServer
from ingest.counts import Counts
from ingest.publish import NotPromised
from ingest.receive import BodyLimits, Receiver, require_c_parser
from ingest.signature import AppSecret, Verified
from runtime.metrics import ProcessMetrics

SECRET = b"wire-secret"
PATH = "/webhooks/meta/demo"
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


class Wire:
    """A receiver on a free port of this machine."""

    def __init__(self, port: int, publisher: Publisher, receiver: Receiver, server: ConnectionServer) -> None:
        self.port, self.publisher, self.receiver, self.server = port, publisher, receiver, server

    async def exchange(
        self, *sent: bytes, pause_s: float = 0.0, timeout_s: float = 5.0, idle_s: float = 0.15
    ) -> bytes:
        """Everything the server says until it closes or has been silent for `idle_s` after `sent`."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for part in sent:
                writer.write(part)
                await asyncio.sleep(pause_s)
            received = b""
            async with asyncio.timeout(timeout_s):
                while True:
                    try:
                        part = await asyncio.wait_for(reader.read(65536), idle_s if received else timeout_s)
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
    counts, publisher = Counts(ProcessMetrics("ingest")), Publisher()
    receiver = Receiver(
        {"demo": App("demo", (AppSecret("s", SECRET),), b"tok-primary")}, publisher, counts, bodies
    )
    server = ConnectionServer(receiver, counts, limits)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    server.start_sweeping()
    try:
        yield Wire(listener.sockets[0].getsockname()[1], publisher, receiver, server)
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


def test_the_c_parser_is_loaded() -> None:
    require_c_parser()


async def test_a_signed_delivery_is_answered_200_and_the_connection_stays() -> None:
    async with serving() as wire:
        answer = await wire.exchange(request() + request())
        assert answer == b"HTTP/1.1 200 OK\r\nServer: mkchannels\r\nContent-Length: 0\r\n\r\n" * 2
        assert wire.publisher.bodies == [BODY, BODY]


async def test_pipelined_deliveries_are_answered_in_order() -> None:
    async with serving() as wire:
        answer = await wire.exchange(
            request() + request(signed="sha256=bad") + request(path="/x") + request()
        )
        assert [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]] == [200, 401, 404, 200]


@pytest.mark.parametrize(
    "signed",
    [
        None,
        "",
        "sha256=" + "0" * 64,
        "sha256=" + "0" * 63,
        "sha256=" + "g" * 64,
        "sha256=é" + "0" * 63,
        "sha256=\udcff" + "0" * 63,
        signature(BODY).upper().replace("SHA256", "sha256"),
        "sha1=" + hmac.digest(SECRET, BODY, "sha1").hex(),
        signature(BODY) + "," + signature(BODY),
    ],
)
async def test_a_wrong_signature_is_401_with_constant_text(signed: str | None) -> None:
    async with serving() as wire:
        answer = await wire.exchange(request(signed=signed))
        assert status(answer) == 401
        assert answer.endswith(b'\r\n\r\n{"error":"invalid_signature"}')
        assert wire.publisher.bodies == []


async def test_a_sha1_header_beside_nothing_is_401() -> None:
    async with serving() as wire:
        sha1 = "sha1=" + hmac.digest(SECRET, BODY, "sha1").hex()
        assert status(await wire.exchange(request(signed=None, X_Hub_Signature=sha1))) == 401


async def test_the_signature_header_twice_is_401_even_if_both_are_right() -> None:
    async with serving() as wire:
        twice = request().replace(b"Host: x", b"Host: x\r\nX-Hub-Signature-256: " + signature(BODY).encode())
        assert status(await wire.exchange(twice)) == 401


async def test_an_unknown_app_and_an_unknown_path_are_404_by_name() -> None:
    async with serving() as wire:
        unknown = await wire.exchange(request(path="/webhooks/meta/nobody"))
        assert status(unknown) == 404
        assert b'{"error":"unknown_app"}' in unknown
        for path in ("/", "/webhooks/meta", "/webhooks/meta/demo/", "/webhooks/meta/demo/x", "/%2e%2e/etc"):
            nowhere = await wire.exchange(request(path=path))
            assert status(nowhere) == 404
            assert path.encode() not in nowhere or path == "/"


async def test_a_query_string_does_not_change_the_app() -> None:
    async with serving() as wire:
        assert status(await wire.exchange(request(path=PATH + "?a=b"))) == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
async def test_other_methods_are_405(method: str) -> None:
    async with serving() as wire:
        answer = await wire.exchange(request(b"", method=method))
        assert status(answer) == 405
        assert b"Allow: GET, POST" in answer
        assert answer.endswith(b"\r\n\r\n") == (method == "HEAD")


async def test_connection_close_is_honoured() -> None:
    async with serving() as wire:
        answer = await wire.exchange(request(Connection="close"))
        assert status(answer) == 200
        assert b"Connection: close" in answer
        assert answer.endswith(b"<closed>")


async def test_http_1_0_is_answered_and_closed() -> None:
    async with serving() as wire:
        answer = await wire.exchange(request(version="1.0"))
        assert answer.startswith(b"HTTP/1.0 200 OK")
        assert answer.endswith(b"<closed>")


async def test_http_1_0_keep_alive_is_honoured() -> None:
    async with serving() as wire:
        answer = await wire.exchange(request(version="1.0", Connection="keep-alive"))
        assert status(answer) == 200
        assert not answer.endswith(b"<closed>")


async def test_expect_100_continue_is_invited_and_then_answered() -> None:
    async with serving() as wire:
        whole = request(Expect="100-continue")
        head, _, body = whole.partition(b"\r\n\r\n")
        answer = await wire.exchange(head + b"\r\n\r\n", body, pause_s=0.2)
        assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")


async def test_a_refused_expectation_never_invites_the_body() -> None:
    async with serving() as wire:
        head = request(Expect="100-continue", signed="sha256=bad").partition(b"\r\n\r\n")[0]
        assert status(await wire.exchange(head + b"\r\n\r\n")) == 401
        assert status(await wire.exchange(request(Expect="a miracle"))) == 417


async def test_a_chunked_body_is_verified_whole() -> None:
    async with serving() as wire:
        head = (
            request().partition(b"\r\n\r\n")[0].replace(b"Content-Length: 28", b"Transfer-Encoding: chunked")
        )
        chunks = b"5\r\n" + BODY[:5] + b"\r\n17\r\n" + BODY[5:] + b"\r\n0\r\n\r\n"
        assert status(await wire.exchange(head + b"\r\n\r\n" + chunks)) == 200
        assert wire.publisher.bodies == [BODY]


async def test_a_body_split_over_many_segments_is_whole() -> None:
    async with serving() as wire:
        whole = request()
        parts = [whole[at : at + 40] for at in range(0, len(whole), 40)]
        assert status(await wire.exchange(*parts, pause_s=0.01)) == 200
        assert wire.publisher.bodies == [BODY]


async def test_a_gzip_body_is_bytes_and_its_signature_covers_them() -> None:
    async with serving() as wire:
        junk = b"\x1f\x8bnot really gzip"
        assert status(await wire.exchange(request(junk, Content_Encoding="gzip"))) == 200
        assert wire.publisher.bodies == [junk]


async def test_an_empty_signed_body_is_evidence_too() -> None:
    async with serving() as wire:
        assert status(await wire.exchange(request(b""))) == 200
        assert wire.publisher.bodies == [b""]


async def test_a_body_that_says_it_is_too_large_is_413_before_it_comes() -> None:
    async with serving(bodies=BodyLimits(1_000)) as wire:
        answer = await wire.exchange(request(b"", length=1_001), idle_s=4)
        assert status(answer) == 413
        assert answer.endswith(b"<closed>")


async def test_a_chunked_body_that_grows_too_large_is_413() -> None:
    async with serving(bodies=BodyLimits(1_000)) as wire:
        head = (
            request().partition(b"\r\n\r\n")[0].replace(b"Content-Length: 28", b"Transfer-Encoding: chunked")
        )
        answer = await wire.exchange(head + b"\r\n\r\n", b"5dc\r\n" + b"x" * 1_500 + b"\r\n", idle_s=4)
        assert status(answer) == 413
        assert answer.endswith(b"<closed>")


async def test_the_largest_body_passes_whole() -> None:
    async with serving() as wire:
        body = bytes(range(256)) * 16_384
        assert status(await wire.exchange(request(body), timeout_s=10)) == 200
        assert wire.publisher.bodies == [body]


async def test_large_bodies_share_a_bounded_room() -> None:
    async with serving(bodies=BodyLimits(max_receiving_bytes=300_000)) as wire:
        body = bytes(200_000)
        _, first = await asyncio.open_connection("127.0.0.1", wire.port)
        first.write(request(body)[:150_000])
        await asyncio.sleep(0.2)
        answer = await wire.exchange(request(body))
        assert status(answer) == 503
        assert b"Retry-After: " in answer
        first.close()
        await asyncio.sleep(0.2)
        assert status(await wire.exchange(request(body))) == 200


@pytest.mark.parametrize(
    "raw",
    [
        request().replace(b"Host: x", b"Host: x\r\nTransfer-Encoding: chunked"),
        request().replace(b"Content-Length: 28", b"Content-Length: 28\r\nContent-Length: 29"),
        request().replace(b"Content-Length: 28", b"Content-Length: +28"),
        request().replace(b"Content-Length: 28", b"Content-Length: -1"),
        request().replace(b"Content-Length: 28", b"Content-Length : 28"),
        request(Padding="x" * 70_000),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03secret-looking",
        b"GET secret-looking\r\n\r\n",
        request().replace(b"Host: x\r\n", b""),
    ],
)
async def test_what_is_not_http_is_400_and_closed_and_never_echoed(raw: bytes) -> None:
    async with serving() as wire:
        answer = await wire.exchange(raw)
        assert answer == b"<reset>" or status(answer) == 400
        assert b"secret-looking" not in answer
        assert b"xxxx" not in answer
        assert answer == b"<reset>" or answer.endswith(b'{"error":"malformed_request"}<closed>')
        assert wire.publisher.bodies == []


@pytest.mark.parametrize(
    "raw",
    [
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://example.com/webhooks/meta/demo?hub.mode=subscribe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /webhooks/meta/demo?%ff%zz=%&hub.challenge=%ff&hub.mode HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /webhooks/meta/démo?é HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
        request(b"{}", method="GET"),
        request(Connection="Upgrade", Upgrade="websocket", Sec_WebSocket_Key="x"),
        request(Connection="Upgrade, HTTP2-Settings", Upgrade="h2c"),
        request(path="http://x" + PATH),
        request(path=PATH + "?" + "q" * 7_000),
        request(Transfer_Encoding="gzip"),
        request(X_Hub_Signature_256=" " * 3_000),
    ],
)
async def test_odd_requests_are_answered_and_disturb_nobody(raw: bytes) -> None:
    async with serving() as wire:
        answer = await wire.exchange(raw)
        assert status(answer) in (200, 400, 401, 403, 404, 405)
        assert status(await wire.exchange(request())) == 200


async def test_slow_headers_are_closed_however_many_there_are() -> None:
    async with serving() as wire:
        silent = [await asyncio.open_connection("127.0.0.1", wire.port) for _ in range(150)]
        dripping = [await asyncio.open_connection("127.0.0.1", wire.port) for _ in range(150)]
        head = request()[:60]
        for at in range(8):
            for _, writer in dripping:
                if not writer.is_closing() and wire.server.open_connections() == 300:
                    writer.write(head[at : at + 1])
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.5)
        assert wire.server.open_connections() == 0
        for reader, writer in silent + dripping:
            try:
                assert status(await reader.read()) == 408
            except ConnectionError:
                assert (reader, writer) in dripping
            writer.close()
        assert status(await wire.exchange(request())) == 200


async def test_a_second_request_with_slow_headers_is_closed_too() -> None:
    async with serving() as wire:
        answer = await wire.exchange(request(), b"POST /webhooks", pause_s=0.3, timeout_s=5)
        assert status(answer) == 200
        reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
        writer.write(request())
        await asyncio.sleep(0.1)
        writer.write(b"POST /webhooks")
        assert b" 408 " in await asyncio.wait_for(reader.read(), 3)
        writer.close()


async def test_half_a_body_is_408_and_closed() -> None:
    async with serving() as wire:
        started = asyncio.get_running_loop().time()
        answer = await wire.exchange(request()[:-5])
        assert status(answer) == 408
        assert answer.endswith(b"<closed>")
        assert asyncio.get_running_loop().time() - started < 2
        assert wire.publisher.bodies == []


async def test_an_idle_connection_is_not_a_slow_one() -> None:
    async with serving() as wire:
        reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
        for _ in range(2):
            writer.write(request())
            assert status(await reader.readuntil(b"\r\n\r\n")) == 200
            await asyncio.sleep(1.0)
        writer.close()


async def test_a_client_that_leaves_in_the_middle_disturbs_nobody() -> None:
    async with serving() as wire:
        wire.publisher.gate.clear()
        for raw in (request()[:-5], request()[:50], request()):
            _, writer = await asyncio.open_connection("127.0.0.1", wire.port)
            writer.write(raw)
            await asyncio.sleep(0.05)
            writer.transport.abort()
        await asyncio.sleep(0.1)
        wire.publisher.gate.set()
        assert status(await wire.exchange(request())) == 200
        await asyncio.sleep(0.1)
        assert wire.server.open_connections() == 0


async def test_more_clients_than_the_cap_are_told_503() -> None:
    async with serving(ConnectionLimits(max_connections=2)) as wire:
        held = [await asyncio.open_connection("127.0.0.1", wire.port) for _ in range(2)]
        await asyncio.sleep(0.05)
        answer = await wire.exchange(request())
        assert answer == b"<reset>" or status(answer) == 503
        held[0][1].close()
        await asyncio.sleep(0.1)
        assert status(await wire.exchange(request())) == 200
        held[1][1].close()


@pytest.mark.parametrize("at_once", [True, False])
async def test_what_is_not_promised_is_503_with_retry_after(at_once: bool) -> None:
    async with serving() as wire:
        wire.publisher.refusal = Cause.QUEUE_AGE if at_once else None
        wire.publisher.cause = Cause.BROKER
        answer = await wire.exchange(request())
        assert status(answer) == 503
        assert b"Retry-After: 5\r\n" in answer
        assert answer.endswith(b'{"error":"overloaded"}')


async def test_the_handshake_is_answered_verbatim_as_plain_text() -> None:
    async with serving() as wire:
        path = PATH + "?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=tok-primary"
        answer = await wire.exchange(request(b"", method="GET", path=path, signed=None))
        assert status(answer) == 200
        assert b"Content-Type: text/plain" in answer
        assert b"Content-Length: 10\r\n" in answer
        assert answer.endswith(b"\r\n\r\n1158201444")


async def test_a_wrong_verify_token_is_403_and_an_unknown_app_404() -> None:
    async with serving() as wire:
        query = "?hub.mode=subscribe&hub.challenge=1&hub.verify_token=wrong"
        assert status(await wire.exchange(request(b"", method="GET", path=PATH + query))) == 403
        assert (
            status(await wire.exchange(request(b"", method="GET", path="/webhooks/meta/no" + query))) == 404
        )
        assert status(await wire.exchange(request(b"", method="GET"))) == 403


async def test_a_rotated_secret_counts_from_the_next_request_on() -> None:
    async with serving() as wire:
        new = AppSecret("new", b"another")
        wire.receiver.use({"demo": App("demo", (new,), b"t")})
        assert status(await wire.exchange(request())) == 401
        wire.receiver.use({"demo": App("demo", (new, AppSecret("s", SECRET)), b"t")})
        assert status(await wire.exchange(request())) == 200


async def test_draining_answers_what_is_under_way_and_says_close() -> None:
    async with serving() as wire:
        wire.publisher.gate.clear()
        waiting = asyncio.create_task(wire.exchange(request()))
        await asyncio.sleep(0.1)
        wire.receiver.draining = True
        draining = asyncio.create_task(wire.server.drain(2.0))
        await asyncio.sleep(0.1)
        assert not draining.done()
        wire.publisher.gate.set()
        answer = await waiting
        assert status(answer) == 200
        assert b"Connection: close" in answer
        assert answer.endswith(b"<closed>")
        await draining


async def test_refusals_are_counted_by_reason() -> None:
    async with serving() as wire:
        await wire.exchange(request(signed=None), request(signed="sha256=" + "0" * 64), request(signed="x"))
        await wire.exchange(b"nonsense\r\n\r\n")
        rejected: dict[str, Any] = dict(wire.server.counts.rejected)
        assert rejected == {
            "invalid_signature_missing": 1,
            "invalid_signature_mismatch": 1,
            "invalid_signature_malformed": 1,
            "malformed_request": 1,
        }
        wire.server.counts.carry_over()
        assert json.loads(json.dumps(dict(wire.server.counts.rejected))) == {}
