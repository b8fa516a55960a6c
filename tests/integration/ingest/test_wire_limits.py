"""The public port at its limits: slow, odd, too many, too large, not HTTP, draining. Kafka is not needed here."""

import asyncio
import itertools
import json
from functools import partial
from typing import Any

import pytest

from ingest.apps import App
from ingest.block import Cause
from ingest.connection import ConnectionLimits
from ingest.signature import AppSecret
from tests.integration.ingest.wire import (
    FAST,
    PATH,
    SECRET,
    request,
    serving,
    status,
)
from tests.support.waiting import until


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

        async def drip() -> None:
            for byte in itertools.chain(request()[:60], itertools.repeat(ord("x"))):
                for _, writer in dripping:
                    if not writer.is_closing():
                        writer.write(bytes((byte,)))
                await asyncio.sleep(0.1)

        async def ended(reader: asyncio.StreamReader) -> int:
            """Its status; 0 for one whose drops came after its end."""
            try:
                return status(await reader.read())
            except ConnectionError:
                return 0

        drops = asyncio.create_task(drip())
        async with asyncio.timeout(60):
            assert {await ended(reader) for reader, _ in silent} == {408}
            assert {await ended(reader) for reader, _ in dripping} <= {408, 0}
        drops.cancel()
        for _, writer in silent + dripping:
            writer.close()
        await until(lambda: wire.server.open_connections() == 0, "nobody to be there")
        assert status(await wire.exchange(request())) == 200


async def test_a_second_request_with_slow_headers_is_closed_too() -> None:
    async with serving() as wire:
        reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
        writer.write(request())
        assert status(await reader.readuntil(b"\r\n\r\n")) == 200
        writer.write(b"POST /webhooks")
        assert b" 408 " in await asyncio.wait_for(reader.read(), 20)
        writer.close()


async def test_half_a_body_is_408_and_closed() -> None:
    async with serving() as wire:
        answer = await wire.exchange(request()[:-5])
        assert status(answer) == 408
        assert answer.endswith(b"<closed>")
        assert wire.publisher.bodies == []


async def test_an_idle_connection_is_not_a_slow_one() -> None:
    async with serving() as wire:

        def swept(at: float) -> bool:
            return wire.server.now > at

        reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
        for _ in range(2):
            writer.write(request())
            assert status(await reader.readuntil(b"\r\n\r\n")) == 200
            asked_at = wire.server.now
            await until(partial(swept, asked_at + 2 * FAST.header_deadline_s), "a look after the deadline")
        writer.close()


async def test_a_client_that_leaves_in_the_middle_disturbs_nobody() -> None:
    async with serving() as wire:
        wire.publisher.gate.clear()
        for raw in (request()[:-5], request()[:50], request()):
            _, writer = await asyncio.open_connection("127.0.0.1", wire.port)
            writer.write(raw)
            await until(lambda: wire.server.open_connections() == 1, "the client to be seen")
            if raw == request():
                await until(lambda: wire.publisher.bodies, "its delivery to wait")
            writer.transport.abort()
            await until(lambda: wire.server.open_connections() == 0, "the client to be forgotten")
        wire.publisher.gate.set()
        assert status(await wire.exchange(request())) == 200
        await until(lambda: wire.server.open_connections() == 0, "nobody to be there")


async def test_more_clients_than_the_cap_are_told_503() -> None:
    async with serving(ConnectionLimits(max_connections=2)) as wire:
        held = [await asyncio.open_connection("127.0.0.1", wire.port) for _ in range(2)]
        await until(lambda: wire.server.open_connections() == 2, "both")
        answer = await wire.exchange(request())
        assert answer == b"<reset>" or status(answer) == 503
        held[0][1].close()
        await until(lambda: wire.server.open_connections() == 1, "one to have left")
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
        await until(lambda: wire.publisher.bodies, "the request to be under way")
        wire.receiver.draining = True
        draining = asyncio.create_task(wire.server.drain(30.0))
        await asyncio.sleep(0.1)  # a chance to end too early; a busy machine only makes it longer
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
