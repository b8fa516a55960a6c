"""Meta's callbacks on the wire: a code only for what is durable, a constant refusal for all else. Kafka is not needed here."""

import base64
import hashlib
import hmac
import json
import re
import time
from urllib.parse import urlencode

import pytest

from contracts.erasure_requests import (
    CallbackRequest,
    callback_request_id,
)
from tests.integration.ingest.wire import PAGE_URL, SECRET, Wire, request, serving, status

DELETION, DEAUTHORISE = "/callbacks/meta/demo/data-deletion", "/callbacks/meta/demo/deauthorise"
CODE = re.compile(r"[0-9a-f]{32}")
USER = "7061637461"


def signed_form(
    user: object = USER,
    issued_at: int = 1_700_000_000,
    secret: bytes = SECRET,
    algorithm: str = "HMAC-SHA256",
) -> bytes:
    payload = {"algorithm": algorithm, "issued_at": issued_at, "user_id": user}
    part = base64.urlsafe_b64encode(json.dumps(payload).encode()).rstrip(b"=")
    signature = base64.urlsafe_b64encode(hmac.digest(secret, part, "sha256")).rstrip(b"=")
    return urlencode({"signed_request": (signature + b"." + part).decode()}).encode()


def callback(form: bytes, path: str = DELETION, *, connection: str = "keep-alive") -> bytes:
    kind = "application/x-www-form-urlencoded"
    return request(form, path=path, signed=None, Connection=connection, Content_Type=kind)


def results(wire: Wire) -> dict[tuple[str, str], int]:
    return dict(wire.counts.callbacks)


async def test_a_deletion_is_answered_with_a_page_and_a_code_of_which_only_the_hash_travels() -> None:
    async with serving() as wire:
        answer = await wire.exchange(callback(signed_form()))
        head, _, body = answer.partition(b"\r\n\r\n")
        assert status(answer) == 200
        assert b"Content-Type: application/json" in head
        assert b"Cache-Control: no-store" in head
        says = json.loads(body)
        code = says["confirmation_code"]
        assert CODE.fullmatch(code)
        assert says == {"url": f"{PAGE_URL}/{code}", "confirmation_code": code}
        [made] = wire.sender.requests
        assert made == CallbackRequest(
            request=callback_request_id("data_deletion", "demo", USER, 1_700_000_000),
            received_at_ms=made.received_at_ms,
            callback="data_deletion",
            app="demo",
            user_id=USER,
            issued_at_s=1_700_000_000,
            code_sha256=hashlib.sha256(code.encode()).hexdigest(),
        )
        assert abs(time.time() * 1_000 - made.received_at_ms) < 60_000


async def test_a_deauthorisation_is_answered_200_with_nothing_and_makes_a_request_without_a_code() -> None:
    async with serving() as wire:
        answer = await wire.exchange(callback(signed_form(user=7), DEAUTHORISE))
        assert answer == b"HTTP/1.1 200 OK\r\nServer: mkchannels\r\nContent-Length: 0\r\n\r\n"
        [made] = wire.sender.requests
        assert (made.callback, made.user_id, made.code_sha256) == ("deauthorized", "7", None)


async def test_a_redelivery_is_the_same_request_under_a_new_code() -> None:
    async with serving() as wire:
        answers = await wire.exchange(callback(signed_form()) * 2 + callback(signed_form(issued_at=1)))
        assert len(set(CODE.findall(answers.decode()))) == 3
        first, again, another = wire.sender.requests
        assert first.request == again.request != another.request
        assert first.code_sha256 != again.code_sha256


async def test_no_code_is_given_while_the_request_is_not_durable() -> None:
    async with serving() as wire:
        wire.sender.is_away = True
        answer = await wire.exchange(callback(signed_form()))
        assert status(answer) == 503
        assert b"Retry-After: 5" in answer
        assert answer.endswith(b'{"error":"overloaded"}')
        assert results(wire) == {("data_deletion", "overloaded"): 1}


@pytest.mark.parametrize(
    ("form", "path", "code", "says"),
    [
        (b"", DELETION, 400, "malformed_request"),
        (b"signed_request=", DELETION, 400, "malformed_request"),
        (b"signed_request=canary.canary.canary", DELETION, 400, "malformed_request"),
        (b"signed_request=canary", DEAUTHORISE, 400, "malformed_request"),
        (signed_form(secret=b"forged"), DELETION, 401, "invalid_signature"),
        (signed_form(secret=b"forged"), DEAUTHORISE, 401, "invalid_signature"),
        (signed_form(algorithm="none"), DELETION, 400, "unsupported_algorithm"),
        (signed_form(user=None), DELETION, 400, "malformed_request"),
        (b"signed_request=" + b"canary" * 4_000, DELETION, 413, "payload_too_large"),
        (signed_form(), "/callbacks/meta/canary/data-deletion", 404, "unknown_app"),
        (signed_form(), "/callbacks/meta/demo/canary", 404, "unknown_app"),
        (signed_form(), "/callbacks/meta/demo/data-deletion/", 404, "unknown_app"),
    ],
)
async def test_what_is_not_metas_is_refused_with_constant_text(
    form: bytes, path: str, code: int, says: str
) -> None:
    async with serving() as wire:
        for connection in ("keep-alive", "close"):
            answer = await wire.exchange(callback(form, path, connection=connection))
            assert status(answer) == code
            assert answer.removesuffix(b"<closed>").endswith(b'\r\n\r\n{"error":"%s"}' % says.encode())
            assert b"canary" not in answer
        assert wire.sender.requests == []
        assert [(result, count) for (_, result), count in results(wire).items()] == [(says, 2)]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_callbacks_are_posted(method: str) -> None:
    async with serving() as wire:
        answer = await wire.exchange(request(b"", method=method, path=DELETION, signed=None))
        assert status(answer) == 405
        assert b"Allow: POST\r\n" in answer


async def test_a_huge_body_is_refused_before_it_is_read_and_also_when_its_size_is_not_said() -> None:
    async with serving() as wire:
        head = callback(b"").replace(b"Content-Length: 0", b"Content-Length: 4000000")
        answer = await wire.exchange(head)
        assert status(answer) == 413
        chunk = b"1000\r\n" + b"x" * 4_096 + b"\r\n"
        head = callback(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        answer = await wire.exchange(head + chunk * 5)
        assert status(answer) == 413


async def test_a_body_that_does_not_come_is_given_up() -> None:
    async with serving() as wire:
        answer = await wire.exchange(callback(signed_form())[:-5])
        assert status(answer) == 408
        assert results(wire) == {("data_deletion", "request_timeout"): 1}


async def test_a_request_that_is_replayed_without_end_is_stopped_and_others_go_on() -> None:
    async with serving() as wire:
        answers = await wire.exchange(callback(signed_form()) * 8 + callback(signed_form(user="1")))
        codes = [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:]]
        assert codes == [200] * 6 + [429] * 2 + [200]
        assert b"Retry-After: 60" in answers


async def test_more_callbacks_than_were_declared_are_put_off() -> None:
    async with serving() as wire:
        posts = b"".join(callback(signed_form(user=str(number))) for number in range(60))
        answers = await wire.exchange(posts)
        codes = [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:]]
        assert codes[:50] == [200] * 50
        assert codes[-1] == 503
