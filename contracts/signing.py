"""Who signs what: Ed25519 keys with a list of what each signer may say.

A signature by a known signer on something outside its list is as wrong as a forged one. PRIVACY.md section 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from cryptography.exceptions import InvalidSignature as _BadSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from contracts import topics
from contracts.errors import TamperedRecord


class Right(StrEnum):
    """One thing that a signer may say."""

    SEAL_RAW = "seal.raw"
    SEAL_TENANT = "seal.tenant"
    SEAL_REQUESTS = "seal.requests"
    SIGN_CONTROL = "sign.control"
    SIGN_RAW_KEYS = "sign.raw_keys"
    SIGN_REQUEST_KEYS = "sign.request_keys"
    QUARANTINE_RAW = "quarantine.raw"
    QUARANTINE_TENANT = "quarantine.tenant"
    SIGN_GRANT_KEYS = "sign.grant_keys"
    ANNOUNCE_ERASURE = "announce.erasure"
    """Say `subject.erased` on a tenant's topic, and nothing else there (`contracts.subject_erased`)."""
    SIGN_FENCES = "sign.fences"
    SIGN_OUTCOMES = "sign.outcomes"
    SIGN_AUDIT = "sign.audit"


RIGHTS_BY_PROCESS: dict[str, frozenset[Right]] = {
    "ingest": frozenset({Right.SEAL_RAW, Right.SEAL_REQUESTS}),
    "router": frozenset({Right.SEAL_TENANT, Right.SEAL_REQUESTS, Right.SIGN_RAW_KEYS, Right.QUARANTINE_RAW}),
    "store": frozenset({Right.QUARANTINE_TENANT}),
    "custodian": frozenset({Right.SIGN_CONTROL, Right.SIGN_GRANT_KEYS, Right.SIGN_REQUEST_KEYS}),
    "erasure": frozenset(
        {
            Right.SEAL_TENANT,
            Right.ANNOUNCE_ERASURE,
            Right.SIGN_FENCES,
            Right.SIGN_OUTCOMES,
            Right.SIGN_AUDIT,
        }
    ),
    "operator": frozenset({Right.SIGN_CONTROL, Right.SEAL_REQUESTS}),
}
"""What each kind of process may sign; the operator's command replays in the zone whose key it is given."""


@dataclass(frozen=True, slots=True)
class Signer:
    """A private signing key under its name. The key never leaves this object."""

    name: str
    _key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def from_bytes(cls, name: str, raw: bytes) -> Signer:
        """`raw`: 32 bytes. Raises ValueError otherwise."""
        return cls(name, Ed25519PrivateKey.from_private_bytes(raw))

    @property
    def public_raw(self) -> bytes:
        """The 32 bytes of the public half."""
        return self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """64 bytes, RFC 8032."""
        return self._key.sign(message)


@dataclass(frozen=True, slots=True)
class KnownSigner:
    """A public signing key and what it may say."""

    name: str
    public_raw: bytes
    may: frozenset[Right]
    others: tuple[bytes, ...] = ()
    """Further keys of this signer that are believed as well: after a change of key what the one before signed stays on the
    topics, and a next one is known before it signs."""

    def verify(self, signature: bytes, message: bytes, right: Right) -> None:
        """Raises TamperedRecord if the signature is wrong or the signer may not say this."""
        if right not in self.may:
            raise TamperedRecord("the signer may not sign this")
        if not any(_is_of(raw, signature, message) for raw in (self.public_raw, *self.others)):
            raise TamperedRecord("the signature does not verify")


def _is_of(public_raw: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_raw).verify(signature, message)
    except (_BadSignature, ValueError):
        return False
    return True


SignerLookup = Callable[[str], KnownSigner | None]


def right_to_seal(topic: str) -> Right:
    """The right that sealing to `topic` takes. Raises TamperedRecord for a topic that carries no sealed records."""
    if topic == topics.RAW:
        return Right.SEAL_RAW
    if topic == topics.ERASURE_REQUESTS:
        return Right.SEAL_REQUESTS
    if topics.slot_of(topic) is not None:
        return Right.SEAL_TENANT
    raise TamperedRecord("no sealed records belong on this topic")
