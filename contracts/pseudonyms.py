"""Pseudonyms: keyed hashes of identifiers, the only form in which an identifier leaves a sealed value.

`HMAC-SHA256(tenant pseudonym key, domain byte | length | normalised id)[:16]` (PRIVACY.md section 2): the same value is
alias index, wire id and fence entry. It is pseudonymised personal data, not anonymous.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from enum import Enum
from struct import Struct
from typing import Final, NamedTuple

PSEUDONYM_BYTES: Final = 16
_U16: Final = Struct(">H")
_NOT_DIGITS: Final = re.compile(r"[^0-9]")
_BLOCK_BYTES: Final = 64
"""Of SHA-256."""
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))


class KeyedHash:
    """HMAC-SHA256 under one key (RFC 2104), the key's two blocks hashed once: less than half of `hmac.digest`'s time."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        """`key`: at most 64 bytes. Raises ValueError for a longer one, which HMAC would hash first."""
        if len(key) > _BLOCK_BYTES:
            raise ValueError("a key is at most 64 bytes long")
        padded = key.ljust(_BLOCK_BYTES, b"\x00")
        self._inner = hashlib.sha256(padded.translate(_INNER))
        self._outer = hashlib.sha256(padded.translate(_OUTER))

    def digest(self, message: bytes) -> bytes:
        """The 32 bytes."""
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()


class Domain(Enum):
    """Namespaces of identifiers: ids of two namespaces never collide (META.md section 9)."""

    BSUID = b"b"
    PARENT_BSUID = b"B"
    PHONE = b"p"
    PSID = b"m"
    IGSID = b"i"
    APP_SCOPED_USER = b"a"
    MESSAGE_REF = b"r"
    CONVERSATION = b"c"
    GROUP = b"g"
    ACCOUNT = b"t"

    # Members are the only ones of their kind, so identity will do; Enum's own hash is computed in Python each time.
    __hash__ = object.__hash__


_PREFIXES: Final = {domain: domain.value for domain in Domain}
"""`Domain.value` is a property in Python."""

ALIAS_ORDER: Final = (Domain.BSUID, Domain.PARENT_BSUID, Domain.PHONE, Domain.PSID, Domain.IGSID)
"""A row goes to the subject of the first alias in this order (PRIVACY.md section 3)."""


class Alias(NamedTuple):
    """One identifier of a person, normalised, in its namespace. Personal data: never printed."""

    domain: Domain
    value: str

    def __repr__(self) -> str:
        return f"Alias({self.domain.name})"


def pseudonym(key: bytes, domain: Domain, value: str) -> bytes:
    """16 bytes. `key`: the tenant's pseudonym key (32 bytes); `value`: the normalised identifier."""
    return hmac.digest(key, _message(domain, value), "sha256")[:PSEUDONYM_BYTES]


def pseudonym_by(keyed: KeyedHash, domain: Domain, value: str) -> bytes:
    """`pseudonym`, for whoever makes many under one key."""
    return keyed.digest(_message(domain, value))[:PSEUDONYM_BYTES]


def _message(domain: Domain, value: str) -> bytes:
    encoded = value.encode("utf-8", "surrogatepass")
    return _PREFIXES[domain] + _U16.pack(len(encoded) & 0xFFFF) + encoded


def digits_only(phone: str) -> str:
    """The digits of a phone number, without punctuation or a leading plus."""
    if phone.isascii() and phone.isdigit():
        return phone
    return _NOT_DIGITS.sub("", phone)


def phone_forms(phone: str) -> tuple[str, ...]:
    """All forms under which a phone number is known; the first is canonical. Empty if there are no digits.

    A Brazilian mobile has two: with and without the ninth digit (META.md section 9.3). Landlines (first digit of the
    subscriber number 2-5) get no 9.
    """
    digits = digits_only(phone)
    if not digits:
        return ()
    if digits.startswith("55"):
        subscriber = digits[4:]
        if len(digits) == 13 and subscriber[0] == "9" and subscriber[1] in "6789":
            return (digits, digits[:4] + subscriber[1:])
        if len(digits) == 12 and subscriber[0] in "6789":
            return (digits[:4] + "9" + subscriber, digits)
    return (digits,)
