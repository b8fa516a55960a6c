"""Opens records of the requests topic: seal and signature, headers against the sealed value, who asked.

Must never believe a header that the sealed value does not repeat, nor keep or log what was opened.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from contracts import topics
from contracts.control import (
    RECIPIENT_ERASURE,
    ControlRecord,
    ControlView,
    SignerRecord,
    app_scoped_user_hash,
)
from contracts.erasure_requests import (
    MK_REQUEST,
    MK_REQUEST_KIND,
    MK_TENANT,
    AnyRequest,
    CallbackRequest,
    parse_request,
)
from contracts.errors import KeyGone, KeyNotYetKnown, KeyServiceUnavailable, TamperedRecord
from contracts.headers import Headers, index
from contracts.hybrid import HybridPublicKey
from contracts.sealing import NO_TENANT, RecordOpener
from runtime.secrets import Secrets
from store.keys.halves import PrivateHalves

ROUTING_KEY: Final = "routing"
"""The company's key that hashes administrators' app-scoped ids; the router and `mkc account` have the same."""


@dataclass(frozen=True, slots=True)
class OpenedRequest:
    """A request that verified, and the signer who asked."""

    request: AnyRequest
    asked_by: str
    administrator: bytes | None = field(default=None, repr=False)
    """Of a callback: the keyed hash of the app-scoped id, as control says it; the id itself goes no further."""

    @property
    def tenant(self) -> UUID | None:
        """The tenant that it names; a callback names none."""
        return None if isinstance(self.request, CallbackRequest) else self.request.tenant


class RequestOpener:
    """Opens with the private halves in erasure's own secrets."""

    def __init__(self, secrets: Secrets, view: ControlView) -> None:
        self._halves, self._secrets, self._view = PrivateHalves(secrets), secrets, view
        self._routing_key: bytes | None = None
        self._opener = RecordOpener(lambda key_id: self._halves.get(key_id.hex()), view.signer)

    def control_applied(self, record: ControlRecord) -> None:
        """A signer may have been revoked: nothing that it signed is taken on trust any more."""
        if isinstance(record, SignerRecord):
            self.forget()

    def forget(self) -> None:
        """Drop what was opened and kept: signatures are checked anew, epoch keys opened anew."""
        self._opener.forget()

    async def forget_destroyed(self) -> None:
        """Drop private halves that were destroyed, and what they opened. Nothing while the provider is away."""
        try:
            await self._halves.forget_destroyed()
        except KeyServiceUnavailable:
            return
        self.forget()

    async def open(self, value: bytes, headers: Headers, broker_time_ms: int) -> OpenedRequest:
        """Raises TamperedRecord, ContractViolation, KeyGone, KeyServiceUnavailable, or KeyNotYetKnown: a private half, or for
        a callback the routing key, is not here yet.
        """
        if self._routing_key is None:
            self._routing_key = await self._routing()
        try:
            return self._open(value, headers, broker_time_ms)
        except KeyNotYetKnown:
            if not await self._halves.fetch():
                raise
        return self._open(value, headers, broker_time_ms)

    async def _routing(self) -> bytes | None:
        try:
            return await self._secrets.get_secret(ROUTING_KEY)
        except KeyNotYetKnown:
            return None

    def _open(self, value: bytes, headers: Headers, broker_time_ms: int) -> OpenedRequest:
        by_name = index(headers)
        opened = self._opener.open(
            topics.ERASURE_REQUESTS, value, headers, broker_time_s=broker_time_ms / 1000, by_name=by_name
        )
        if opened.statement.tenant != NO_TENANT:
            raise TamperedRecord("a request was sealed for a tenant")
        request = parse_request(opened.plaintext)
        read = OpenedRequest(request, opened.statement.signer, self._administrator(request))
        said = {
            MK_REQUEST: str(request.request).encode(),
            MK_REQUEST_KIND: request.kind.encode(),
            **({} if read.tenant is None else {MK_TENANT: str(read.tenant).encode()}),
        }
        if {name: by_name.get(name) for name in (MK_REQUEST, MK_REQUEST_KIND, MK_TENANT)} != {
            MK_TENANT: None,
            **said,
        }:
            raise TamperedRecord("a request's headers are not its value's")
        return read

    def _administrator(self, request: AnyRequest) -> bytes | None:
        if not isinstance(request, CallbackRequest):
            return None
        if self._routing_key is None:
            raise KeyNotYetKnown("the routing key is not here yet")
        return bytes.fromhex(app_scoped_user_hash(self._routing_key, request.app, request.user_id))

    def is_published(self, value: bytes) -> bool:
        """Whether control says that the key which `value` is sealed to is erasure's: its private half will come."""
        wanted = value[4:8]
        return any(
            HybridPublicKey.from_bytes(record.public_key).key_id == wanted
            for record in self._view.transport_keys(RECIPIENT_ERASURE)
        )


class WrongRecipient(KeyGone):
    """Sealed to a key that was never erasure's, or whose end control has forgotten: nobody here will ever open it."""

    code = "wrong_recipient"
