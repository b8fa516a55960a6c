"""Meta's data-deletion and deauthorise callbacks: verified, made a durable request to erasure, answered. META.md section 15.

Must never answer 200 before the request's record is acknowledged, keep a confirmation code (only its hash travels), or let
a byte of a body into a log, an error or an answer. Never on the way of a webhook: `ingest.receive` comes here only with
paths that are no app's.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable
from typing import Final, Literal, Protocol

import orjson
from aiohttp import hdrs, web

from contracts import topics
from contracts.erasure_requests import (
    MK_REQUEST,
    MK_REQUEST_KIND,
    CallbackRequest,
    callback_key,
    callback_request_id,
)
from contracts.errors import (
    FatalError,
    MalformedRequest,
    Overloaded,
    PayloadTooLarge,
    PermanentError,
    RequestRejected,
    TooManyRequests,
    TransientError,
    UnknownApp,
)
from contracts.sealing import CLOCK_SLACK_S, NO_TENANT
from ingest import answers
from ingest.apps import App, Apps
from ingest.connection import Connection
from ingest.counts import Counts
from ingest.publish import Recipient, RecordSender
from ingest.signed_request import cause_of, field_of, verify
from runtime.epochs import EpochSource
from runtime.kafka.clients import acknowledged
from runtime.logging import get_logger
from runtime.pace import Pace

PATH: Final = "/callbacks/meta/"
MAX_BODY_BYTES: Final = 16 * 1024
"""Meta's form is a few hundred bytes."""
IN_FLIGHT: Final = 64
"""Callbacks that wait for Kafka at once."""
_BURST_S: Final = 5.0
_REPEATS: Final = 6
_REPEATS_PER_S: Final = 0.1
_EVERYBODY: Final = ""

Kind = Literal["data_deletion", "deauthorized"]
_KINDS: Final[dict[str, Kind]] = {"data-deletion": "data_deletion", "deauthorise": "deauthorized"}


class CallbackSender(Protocol):
    """Where callbacks go. `RequestSender` is one."""

    async def send(self, request: CallbackRequest) -> None:
        """Returns once it is durable. Raises Overloaded."""


class RequestSender:
    """Seals callbacks to erasure and sends them; the producer is the blocks' and kept alive by their publisher."""

    def __init__(
        self,
        sender: RecordSender,
        epochs: EpochSource,
        recipient: Recipient,
        *,
        deadline_s: float,
        fail: Callable[[BaseException], None],
    ) -> None:
        """`recipient`: erasure's key now and its end. `fail` stops the process on an unknown exception."""
        self._sender, self._epochs, self._recipient = sender, epochs, recipient
        self._deadline_s = deadline_s
        self._fail = fail
        self._tasks: set[asyncio.Task[bool]] = set()

    async def send(self, request: CallbackRequest) -> None:
        """Returns once the broker has it. Raises Overloaded: nothing was promised, and Meta asks again."""
        if not self._sender.alive or len(self._tasks) >= IN_FLIGHT:
            raise Overloaded("callbacks cannot be taken now")
        # A task of its own: what takes too long goes on, since a client that is cancelled half-way is no good any more.
        task = asyncio.create_task(self._publish(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.wait({task}, timeout=self._deadline_s)
        if not task.done() or task.cancelled() or not task.result():
            raise Overloaded("the request is not durable yet")

    async def _publish(self, request: CallbackRequest) -> bool:
        headers = [
            (MK_REQUEST, str(request.request).encode()),
            (MK_REQUEST_KIND, request.kind.encode()),
        ]
        try:
            value, sealed = self._epochs.seal(
                topics.ERASURE_REQUESTS,
                NO_TENANT,
                self._recipient(),
                request.model_dump_json().encode(),
                headers,
            )
            sealed_at = time.time()
            handed = await self._sender.send(
                topics.ERASURE_REQUESTS,
                value,
                key=callback_key(request.app, request.user_id),
                headers=sealed,
            )
            taken_at = (await acknowledged(handed)).timestamp / 1000
        except TransientError as exc:
            get_logger().warning("callback.delayed", exc=exc)
            return False
        except PermanentError as exc:
            get_logger().error("callback.refused", exc=exc)
            return False
        except Exception as exc:  # unknown, so not promised: the process stops rather than guess
            self._fail(exc)
            return False
        if sealed_at - taken_at > CLOCK_SLACK_S:
            self._fail(
                FatalError("this host's clock is more than five minutes ahead of Kafka's: set it right")
            )
            return False
        return True


class Callbacks:
    """Answers what is posted under `/callbacks/meta/`."""

    def __init__(
        self, apps: Apps, sender: CallbackSender, counts: Counts, *, page_url: str, per_s: float
    ) -> None:
        """`page_url`: where people read how their request stands; `per_s`: verified callbacks a second."""
        self._sender, self._counts = sender, counts
        self._page_url = page_url
        self._loop = asyncio.get_running_loop()
        self._all = Pace(per_s, max(1.0, per_s * _BURST_S), most=1)
        self._each = Pace(_REPEATS_PER_S, _REPEATS)
        self._by_path: dict[str, tuple[App, Kind]] = {}
        self.use(apps)

    def use(self, apps: Apps) -> None:
        """Serve these apps from the next request on."""
        self._by_path = {
            f"{PATH}{name}/{word}": (app, kind) for name, app in apps.items() for word, kind in _KINDS.items()
        }

    async def answer(self, connection: Connection) -> answers.Answer:
        """Answer one request whose path begins with `PATH`; raises nothing but cancellation and broken connections."""
        kind: Kind | Literal["unknown"] = "unknown"
        try:
            message = connection.message
            found = self._by_path.get(message.path.partition("?")[0])
            if found is None:
                raise UnknownApp("no callback of that app and name")
            app, kind = found
            if message.method != hdrs.METH_POST:
                self._counts.callbacks[kind, "malformed_request"] += 1
                return answers.POST_ONLY
            if hdrs.EXPECT in message.headers:
                self._counts.callbacks[kind, "malformed_request"] += 1
                return answers.EXPECTATION_FAILED
            answer = await self._take(app, kind, await _read(connection))
        except RequestRejected as exc:
            self._counts.callbacks[kind, exc.code] += 1
            return answers.BY_CODE[exc.code]
        self._counts.callbacks[kind, "accepted"] += 1
        return answer

    async def _take(self, app: App, kind: Kind, form: bytes) -> answers.Answer:
        signed = verify(field_of(form), app.secrets)
        cause = cause_of(signed)
        self._counts.verified[app.name, signed.secret_id] += 1
        identity = callback_request_id(kind, app.name, cause.user_id, cause.issued_at_s)
        now = self._loop.time()
        # Whoever has seen one signed_request can send it for ever: that must cost others nothing.
        if not self._each.take(str(identity), now):
            raise TooManyRequests("the same callback came too often")
        if not self._all.take(_EVERYBODY, now):
            raise Overloaded("too many callbacks at once")
        code = secrets.token_hex(16) if kind == "data_deletion" else None
        await self._sender.send(
            CallbackRequest(
                request=identity,
                received_at_ms=time.time_ns() // 1_000_000,
                callback=kind,
                app=app.name,
                user_id=cause.user_id,
                issued_at_s=cause.issued_at_s,
                code_sha256=hashlib.sha256(code.encode()).hexdigest() if code else None,
            )
        )
        if code is None:
            return answers.ACCEPTED
        body = orjson.dumps({"url": f"{self._page_url}/{code}", "confirmation_code": code})
        return answers.Answer(200, headers={"Cache-Control": "no-store"}, body=body)


async def _read(connection: Connection) -> bytes:
    announced = connection.message.headers.get(hdrs.CONTENT_LENGTH)
    if announced is not None and int(announced) > MAX_BODY_BYTES:
        raise PayloadTooLarge("the body is larger than a callback's")
    payload = connection.payload
    parts: list[bytes] = []
    size = 0
    try:
        while not payload.at_eof():
            part = await payload.readany()
            size += len(part)
            if size > MAX_BODY_BYTES:
                raise PayloadTooLarge("the body is larger than a callback's")
            parts.append(part)
    except web.RequestPayloadError as exc:
        raise MalformedRequest("the body is not well-formed") from exc
    connection.body_ended()
    return b"".join(parts)
