"""The records of a tenant's keys topic: the private half of one transport key, wrapped for one grant.

Key: the grant's id, 16 bytes. Value: the JSON of `GrantKeyRecord`. Headers: `by`, the signer's name, and `sig`, its
Ed25519 signature. HPKE has no sender, so the signature says who wrapped it; HPKE's `info` says for whom and of whom.
docs/wire-format.md has the bytes. Must never hold a client, or a private half longer than the call.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal
from uuid import UUID

from cryptography.exceptions import InvalidTag
from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, ValidationError

from contracts.errors import TamperedRecord
from contracts.headers import Headers, index
from contracts.hybrid import HybridPrivateKey, HybridPublicKey
from contracts.signing import Right, Signer, SignerLookup

SIGNED_BY: Final = "by"
SIGNATURE: Final = "sig"
_MESSAGE: Final = b"mkchannels grant key v1\x00"
_INFO: Final = b"mkchannels grant key info v1\x00"
_KEY_ID: Final = r"^[0-9a-f]{8}$"
_TOPIC_BYTES: Final = 249


class GrantKeyRecord(BaseModel):
    """One transport key of a tenant for one grant. Times are Unix milliseconds."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    version: Literal[1] = 1
    grant: UUID
    tenant: UUID
    key_id: str = Field(pattern=_KEY_ID)
    """Of the transport key, as records name it: hex of 4 bytes."""
    active_from_ms: int = Field(ge=0, lt=1 << 63)
    seal_until_ms: int = Field(ge=0, lt=1 << 63)
    """Nothing is sealed to the key after it; the custodian destroys the private half seven days later, as readers should."""
    wrapped: Base64Bytes = Field(repr=False)
    """HPKE (enc, then ciphertext and tag) of the private half's 96 bytes, to the grant's public key."""

    @property
    def seal_until(self) -> datetime:
        """Aware UTC."""
        return datetime.fromtimestamp(self.seal_until_ms / 1000, UTC)


@dataclass(frozen=True, slots=True)
class GrantedKey:
    """A transport key that a reader was given, opened."""

    private: HybridPrivateKey
    grant: UUID
    tenant: UUID
    active_from_ms: int
    seal_until_ms: int


@dataclass(frozen=True, slots=True)
class ForGrant:
    """Whom a key is wrapped for and where it is published. `reader`: the grant's public key."""

    grant: UUID
    tenant: UUID
    topic: str
    reader: HybridPublicKey


def wrap_for_grant(
    private: HybridPrivateKey, target: ForGrant, active_from: datetime, seal_until: datetime, signer: Signer
) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Key, value and headers of the record."""
    key_id = private.public.key_id
    from_ms, until_ms = _ms(active_from), _ms(seal_until)
    info = _info(target.topic, target.tenant, target.grant, key_id, from_ms, until_ms)
    record = GrantKeyRecord(
        grant=target.grant,
        tenant=target.tenant,
        key_id=key_id.hex(),
        active_from_ms=from_ms,
        seal_until_ms=until_ms,
        # pydantic's Base64Bytes decodes what it is given and encodes what it writes.
        wrapped=b64encode(target.reader.seal(private.raw, info)),
    )
    key, value = target.grant.bytes, record.model_dump_json().encode()
    signature = signer.sign(_message(target.topic, signer.name, key, value))
    return key, value, [(SIGNED_BY, signer.name.encode()), (SIGNATURE, signature)]


def open_grant_key(
    topic: str,
    key: bytes | None,
    value: bytes | None,
    headers: Headers,
    reader: HybridPrivateKey,
    signers: SignerLookup,
) -> GrantedKey:
    """Verify and open one record of this reader's. Raises TamperedRecord.

    `signers`: must know the custodian's key; `reader`: the private half of the grant's public key.
    """
    by_name = index(headers)
    try:
        by, signature = by_name[SIGNED_BY].decode("ascii"), by_name[SIGNATURE]
    except (KeyError, UnicodeDecodeError) as exc:
        raise TamperedRecord("a grant's key is not signed") from exc
    signer = signers(by)
    if signer is None or not key or not value:
        raise TamperedRecord("a grant's key is signed by nobody known, or empty")
    signer.verify(signature, _message(topic, by, key, value), Right.SIGN_GRANT_KEYS)
    try:
        record = GrantKeyRecord.model_validate_json(value)
    except ValidationError as exc:
        raise TamperedRecord("a grant's key cannot be read") from exc
    if record.grant.bytes != key:
        raise TamperedRecord("a grant's key stands under another grant")
    key_id = bytes.fromhex(record.key_id)
    info = _info(topic, record.tenant, record.grant, key_id, record.active_from_ms, record.seal_until_ms)
    try:
        private = HybridPrivateKey.from_bytes(reader.open(record.wrapped, info))
    except (InvalidTag, ValueError) as exc:
        raise TamperedRecord("a grant's key does not open: it was wrapped for another reader") from exc
    if private.public.key_id != key_id:
        raise TamperedRecord("a grant's key is another than it says")
    return GrantedKey(private, record.grant, record.tenant, record.active_from_ms, record.seal_until_ms)


def _message(topic: str, by: str, key: bytes, value: bytes) -> bytes:
    name, where = by.encode(), topic.encode()[:_TOPIC_BYTES]
    parts = (_MESSAGE, len(name).to_bytes(2), name, len(where).to_bytes(2), where, len(key).to_bytes(2), key)
    return b"".join((*parts, value))


def _info(topic: str, tenant: UUID, grant: UUID, key_id: bytes, from_ms: int, until_ms: int) -> bytes:
    where = topic.encode()[:_TOPIC_BYTES]
    times = from_ms.to_bytes(8) + until_ms.to_bytes(8)
    return b"".join((_INFO, len(where).to_bytes(2), where, tenant.bytes, grant.bytes, key_id, times))


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
