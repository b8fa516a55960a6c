"""Pseudonyms: keyed hashes of identifiers, the only form in which an identifier leaves a sealed value.

`HMAC-SHA256(tenant pseudonym key, domain byte | length | normalised id)[:16]` (PRIVACY.md section 2): the same value is
alias index, wire id and fence entry. It is pseudonymised personal data, not anonymous.
"""

from __future__ import annotations

import hmac
import re
from enum import Enum
from struct import Struct
from typing import Final, NamedTuple

PSEUDONYM_BYTES: Final = 16
_U16: Final = Struct(">H")
_NOT_DIGITS: Final = re.compile(r"[^0-9]")


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
    encoded = value.encode("utf-8", "surrogatepass")
    return hmac.digest(key, domain.value + _U16.pack(len(encoded) & 0xFFFF) + encoded, "sha256")[
        :PSEUDONYM_BYTES
    ]


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
