"""The public port on the wire: what HTTP clients of every kind get, byte for byte. Kafka is not needed here."""

import asyncio
import hmac

import pytest

from ingest.receive import BodyLimits, require_c_parser
from tests.integration.ingest.wire import (
    BODY,
    PATH,
    SECRET,
    request,
    serving,
    signature,
    status,
)
from tests.support.waiting import until


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
        answer = await wire.exchange(request(b"", length=1_001), idle_s=20)
        assert status(answer) == 413
        assert answer.endswith(b"<closed>")


async def test_a_chunked_body_that_grows_too_large_is_413() -> None:
    async with serving(bodies=BodyLimits(1_000)) as wire:
        head = (
            request().partition(b"\r\n\r\n")[0].replace(b"Content-Length: 28", b"Transfer-Encoding: chunked")
        )
        answer = await wire.exchange(head + b"\r\n\r\n", b"5dc\r\n" + b"x" * 1_500 + b"\r\n", idle_s=20)
        assert status(answer) == 413
        assert answer.endswith(b"<closed>")


async def test_the_largest_body_passes_whole() -> None:
    async with serving() as wire:
        body = bytes(range(256)) * 16_384
        assert status(await wire.exchange(request(body))) == 200
        assert wire.publisher.bodies == [body]


async def test_large_bodies_share_a_bounded_room() -> None:
    async with serving(bodies=BodyLimits(max_receiving_bytes=300_000)) as wire:
        body = bytes(200_000)
        _, first = await asyncio.open_connection("127.0.0.1", wire.port)
        first.write(request(body)[:150_000])
        answers: list[bytes] = []

        async def answered(code: int) -> bool:
            answers.append(await wire.exchange(request(body)))
            return status(answers[-1]) == code

        await until(lambda: answered(503), "the first body to take its room")
        assert b"Retry-After: " in answers[-1]
        assert status(await wire.exchange(request())) == 200
        first.close()
        await until(lambda: answered(200), "the room to be free again")
