"""Event ids: the same event, in whatever batch Meta sends it again, has the same id; no two events share one.

UUIDv8 (RFC 9562 section 5.8): 48 bits of the item's own timestamp floored to the second as Unix milliseconds, then
bits of a hash keyed with the tenant's pseudonym key over (object, account, kind, Meta's id, discriminator). Never
`entry.time`, never the time of receipt, never a position in the batch. Undated events have time bits 0. Bit by bit, and
kind by kind: docs/event-ids.md.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import Final
from uuid import UUID

from contracts.pseudonyms import KeyedHash

_DOMAIN: Final = b"mkchannels event id v1\x00"
_U32: Final = Struct(">I")
_VERSION_AND_VARIANT_CLEARED: Final = ~((0xF << 76) | (0x3 << 62)) & ((1 << 128) - 1)
_VERSION_8_VARIANT_10: Final = (0x8 << 76) | (0x2 << 62)
_VARIANT_10: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def event_id(
    key: bytes,
    *,
    occurred_at_ms: int | None,
    provider_object: str,
    account: str,
    kind: str,
    native_id: str | None,
    discriminator: Sequence[str] = (),
) -> UUID:
    """The id of one event. `key`: the tenant's pseudonym key; `occurred_at_ms`: None for an undated event."""
    message = _message(provider_object, account, kind, native_id, discriminator)
    return UUID(int=_number(hmac.digest(key, message, "sha256"), occurred_at_ms))


def event_id_text(
    keyed: KeyedHash,
    occurred_at_ms: int | None,
    provider_object: str,
    account: str,
    kind: str,
    native_id: str | None,
    discriminator: Sequence[str],
) -> str:
    """`str(event_id(…))`, for whoever makes many under one key: the object and its text take longer than the hash."""
    message = _message(provider_object, account, kind, native_id, discriminator)
    hashed = keyed.digest(message)[6:16].hex()
    time = "00000000-0000" if occurred_at_ms is None else _time_text(occurred_at_ms // 1000)
    return f"{time}-8{hashed[1:4]}-{_VARIANT_10[hashed[4]]}{hashed[5:8]}-{hashed[8:]}"


@lru_cache(maxsize=4_096)
def _time_text(unix_s: int) -> str:
    """The time bits of an id as its text begins; events come in the order of time."""
    text = f"{unix_s * 1000 & (1 << 48) - 1:012x}"
    return f"{text[:8]}-{text[8:]}"


def _message(
    provider_object: str, account: str, kind: str, native_id: str | None, discriminator: Sequence[str]
) -> bytes:
    message = _prefix(provider_object, account, kind) + _field(native_id or "")
    for text in discriminator:
        message += _field(text)
    return message


def _number(digest: bytes, occurred_at_ms: int | None) -> int:
    floored_ms = 0 if occurred_at_ms is None else occurred_at_ms // 1000 * 1000
    number = (floored_ms << 80) | int.from_bytes(digest[6:16])
    return number & _VERSION_AND_VARIANT_CLEARED | _VERSION_8_VARIANT_10


def _field(text: str) -> bytes:
    encoded = text.encode("utf-8", "surrogatepass")
    return _U32.pack(len(encoded)) + encoded


@lru_cache(maxsize=4_096)
def _prefix(provider_object: str, account: str, kind: str) -> bytes:
    """What all events of one kind of one account begin with."""
    return _DOMAIN + _field(provider_object) + _field(account) + _field(kind)


def time_ms_of(event: UUID) -> int | None:
    """The event's second as Unix milliseconds, or None if it is undated."""
    return (event.int >> 80) or None


def first_id_at(unix_ms: int) -> UUID:
    """The smallest UUID with these time bits: the bound of a range partition."""
    return UUID(int=unix_ms << 80)


def canonical_hash(canonical: bytes) -> str:
    """A short hex digest of canonical JSON, for discriminators of kinds without an id of their own."""
    return hashlib.sha256(canonical).hexdigest()[:32]
