"""The transport record: sealed by one process for one recipient, under an epoch key that the record itself carries.

Layout (PRIVACY.md section 2)::

    'MW' | version 1 | suite 1 | recipient key id 4 | epoch id 16 | nonce 12 | ciphertext | tag 16

The epoch id is the start of the SHA-256 of the sealed epoch key. The AAD is bytes 0..23 and the digest of the topic
and all `ce_*` and `mk_*` headers. The epoch key is HPKE-sealed to the recipient; the sender forgets it after at most
five minutes or 2^20 records. An Ed25519 signature covers the sealed key and the statement of who seals what for whom
from when to when: HPKE has no sender authentication, and whoever opens an epoch could otherwise forge in it.

Must never hold a clock or a source of randomness of its own: both are arguments.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from struct import Struct
from struct import error as struct_error
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.errors import KeyGone, KeyNotYetKnown, TamperedRecord
from contracts.headers import EK_KEY, EK_SIG, EK_STATEMENT, Headers, index, sealed_digest
from contracts.hybrid import HybridPrivateKey, HybridPublicKey
from contracts.signing import Signer, SignerLookup, right_to_seal

MAGIC: Final = b"MW"
VERSION: Final = 1
SUITE: Final = 1
"""Suite 1: HPKE ML-KEM-768 + X25519, HKDF-SHA256, AES-256-GCM; Ed25519; records AES-256-GCM."""
PREFIX_BYTES: Final = 24
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
OVERHEAD_BYTES: Final = PREFIX_BYTES + NONCE_BYTES + TAG_BYTES
EPOCH_MAX_S: Final = 300
EPOCH_MAX_RECORDS: Final = 1 << 20
KEY_KEPT_AFTER_S: Final = 7 * 86_400
"""A private half is destroyed this long after its `seal_until`; later the record is `key_gone`."""
CLOCK_SLACK_S: Final = 300
NO_TENANT: Final = UUID(int=0)
"""The tenant of records that are not a tenant's: raw blocks and erasure requests."""

_STATEMENT: Final = Struct(">BB4s16sQQ")
_INFO: Final = b"mkchannels epoch v1\x00"
_SIGNED: Final = b"mkchannels epoch signature v1\x00"


@dataclass(frozen=True, slots=True)
class EpochStatement:
    """Who seals what for whom, from when to when (Unix seconds). Part of HPKE's info and of the signature."""

    recipient_key_id: bytes
    tenant: UUID
    topic: str
    signer: str
    not_before_s: int
    not_after_s: int

    def encode(self) -> bytes:
        """Fixed fields, then the signer and the topic, each after its length in one byte."""
        signer, topic = self.signer.encode("ascii"), self.topic.encode("ascii")
        return b"".join(
            (
                _STATEMENT.pack(
                    VERSION,
                    SUITE,
                    self.recipient_key_id,
                    self.tenant.bytes,
                    self.not_before_s,
                    self.not_after_s,
                ),
                bytes((len(signer),)),
                signer,
                bytes((len(topic),)),
                topic,
            )
        )

    @classmethod
    def decode(cls, raw: bytes) -> EpochStatement:
        """Raises TamperedRecord unless `raw` is exactly one statement."""
        try:
            version, suite, key_id, tenant, not_before_s, not_after_s = _STATEMENT.unpack_from(raw)
            at = _STATEMENT.size
            signer = raw[at + 1 : at + 1 + raw[at]].decode("ascii")
            at += 1 + raw[at]
            topic = raw[at + 1 : at + 1 + raw[at]].decode("ascii")
            statement = cls(key_id, UUID(bytes=tenant), topic, signer, not_before_s, not_after_s)
        except (struct_error, IndexError, UnicodeDecodeError) as exc:
            raise TamperedRecord("the epoch statement cannot be read") from exc
        if (version, suite) != (VERSION, SUITE) or statement.encode() != raw:
            raise TamperedRecord("the epoch statement cannot be read")
        return statement


@dataclass(slots=True)
class SealingEpoch:
    """One epoch of one sender: seals records until `exhausted`. Keeps the key only as a cipher object."""

    statement: EpochStatement
    headers: tuple[tuple[str, bytes], ...]
    """`ek_*` headers that every record of this epoch carries."""
    _prefix: bytes
    _cipher: AESGCM = field(repr=False)
    _left: int = EPOCH_MAX_RECORDS

    @classmethod
    def begin(
        cls,
        *,
        recipient: HybridPublicKey,
        tenant: UUID,
        topic: str,
        signer: Signer,
        now_s: int,
        epoch_key: bytes,
        lifetime_s: int = EPOCH_MAX_S,
    ) -> SealingEpoch:
        """`epoch_key`: 32 fresh random bytes. `lifetime_s` is at most 300 (less near a key's `seal_until`)."""
        statement = EpochStatement(
            recipient.key_id, tenant, topic, signer.name, now_s, now_s + min(lifetime_s, EPOCH_MAX_S)
        )
        encoded = statement.encode()
        sealed = recipient.seal(epoch_key, _INFO + encoded)
        signature = signer.sign(_SIGNED + encoded + sealed)
        epoch_id = hashlib.sha256(sealed).digest()[:16]
        prefix = MAGIC + bytes((VERSION, SUITE)) + recipient.key_id + epoch_id
        headers = ((EK_STATEMENT, encoded), (EK_KEY, sealed), (EK_SIG, signature))
        return cls(statement, headers, prefix, AESGCM(epoch_key))

    def exhausted(self, now_s: float) -> bool:
        """True when the next record needs a new epoch."""
        return self._left <= 0 or not self.statement.not_before_s <= now_s < self.statement.not_after_s

    def seal(self, plaintext: bytes, headers: Headers, nonce: bytes) -> bytes:
        """The record's value. `headers` must be all `ce_*` and `mk_*` headers that the record will carry."""
        return self.seal_digested(plaintext, sealed_digest(self.statement.topic, headers), nonce)

    def seal_digested(self, plaintext: bytes, digest: bytes, nonce: bytes) -> bytes:
        """`seal`, given the `sealed_digest` of this epoch's topic and the headers."""
        self._left -= 1
        aad = self._prefix + digest
        return b"".join((self._prefix, nonce, self._cipher.encrypt(nonce, plaintext, aad)))


@dataclass(frozen=True, slots=True)
class OpenedRecord:
    """A record that verified: its plaintext and the statement of who sealed it for whom."""

    plaintext: bytes = field(repr=False)
    statement: EpochStatement


PrivateKeyLookup = Callable[[bytes], HybridPrivateKey | None]


class RecordOpener:
    """Opens records of any topic for a holder of private halves; keeps the ciphers of recent epochs."""

    def __init__(self, private_keys: PrivateKeyLookup, signers: SignerLookup, *, keep: int = 4096) -> None:
        self._private_keys = private_keys
        self._signers = signers
        self._keep = keep
        self._epochs: OrderedDict[bytes, tuple[bytes, bytes, bytes, EpochStatement, AESGCM]] = OrderedDict()

    def open(
        self,
        topic: str,
        value: bytes,
        headers: Headers,
        *,
        broker_time_s: float,
        by_name: Mapping[str, bytes] | None = None,
    ) -> OpenedRecord:
        """Open one record.

        `topic` is the topic it was sealed for; `broker_time_s` the broker's time of its first record; `by_name`: what
        `index` made of these same headers, for those who have it. Raises
        TamperedRecord, KeyNotYetKnown (signature right, private half not here yet: reload and retry) or KeyGone.
        """
        # 1. Layout.
        if len(value) < OVERHEAD_BYTES or value[:4] != MAGIC + bytes((VERSION, SUITE)):
            raise TamperedRecord("not a transport record")
        if by_name is None:
            by_name = index(headers)
        try:
            encoded, sealed, signature = by_name[EK_STATEMENT], by_name[EK_KEY], by_name[EK_SIG]
        except KeyError as exc:
            raise TamperedRecord("the epoch key is missing") from exc
        # 2.-4. The epoch: known already, or verified and opened now.
        epoch_id = value[8:PREFIX_BYTES]
        known = self._epochs.get(epoch_id)
        # All three, or whether a damaged signature is refused would depend on what was opened before.
        if known is not None and known[:3] == (encoded, sealed, signature):
            statement, cipher = known[3:]
        else:
            statement, cipher = self._open_epoch(topic, value, encoded, sealed, signature, broker_time_s)
        # 5. The record belongs to this epoch, topic and time.
        _require_same(statement, topic, value)
        if broker_time_s < statement.not_before_s - CLOCK_SLACK_S:
            raise TamperedRecord("the record is older than its epoch")
        # 6. The AEAD, over the prefix, the topic and the headers.
        aad = value[:PREFIX_BYTES] + sealed_digest(topic, headers)
        nonce = value[PREFIX_BYTES : PREFIX_BYTES + NONCE_BYTES]
        try:
            plaintext = cipher.decrypt(nonce, value[PREFIX_BYTES + NONCE_BYTES :], aad)
        except InvalidTag as exc:
            raise TamperedRecord("the record does not open") from exc
        return OpenedRecord(plaintext, statement)

    def forget(self) -> None:
        """Drop all cached epochs (a signer was revoked, a private half destroyed)."""
        self._epochs.clear()

    def _open_epoch(
        self,
        topic: str,
        value: bytes,
        encoded: bytes,
        sealed: bytes,
        signature: bytes,
        broker_time_s: float,
    ) -> tuple[EpochStatement, AESGCM]:
        # 2. The id is the key's hash: no other sealed key can stand under this id.
        epoch_id = value[8:PREFIX_BYTES]
        if hashlib.sha256(sealed).digest()[:16] != epoch_id:
            raise TamperedRecord("the epoch key is not the record's")
        statement = EpochStatement.decode(encoded)
        # 3. The signature, before any private key is needed.
        signer = self._signers(statement.signer)
        if signer is None:
            raise TamperedRecord("sealed by nobody we know")
        signer.verify(signature, _SIGNED + encoded + sealed, right_to_seal(statement.topic))
        # 4. The private half. Nobody waits for the key of what is not for this topic: it will never come.
        _require_same(statement, topic, value)
        private = self._private_keys(statement.recipient_key_id)
        if private is None:
            if broker_time_s > statement.not_after_s + KEY_KEPT_AFTER_S:
                raise KeyGone("the private half has been destroyed")
            raise KeyNotYetKnown("no private half for this key id")
        try:
            epoch_key = private.open(sealed, _INFO + encoded)
        except InvalidTag as exc:
            raise TamperedRecord("the epoch key does not open") from exc
        cipher = AESGCM(epoch_key)
        self._epochs[epoch_id] = (encoded, sealed, signature, statement, cipher)
        if len(self._epochs) > self._keep:
            self._epochs.popitem(last=False)
        return statement, cipher


def _require_same(statement: EpochStatement, topic: str, value: bytes) -> None:
    if value[4:8] != statement.recipient_key_id or statement.topic != topic:
        raise TamperedRecord("the record was sealed for something else")
