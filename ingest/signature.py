"""Verification of a delivery's signature over the exact bytes received. META.md section 3.

Pure. Must never parse the body, fall back to SHA-1, or put a signature, a secret or a body into an error.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field
from typing import Final

from contracts.errors import InvalidSignature

_VERIFICATION: Final = object()
_HEADER: Final = re.compile(rb"sha256=[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class AppSecret:
    """One live secret of an app under the id that metrics may show."""

    id: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Verified:
    """A body that Meta signed. Only `verify` makes one, and only a `Verified` can be published."""

    body: bytes = field(repr=False)
    secret_id: str
    _by: InitVar[object]

    def __post_init__(self, _by: object) -> None:
        # An InitVar and not a field: dataclasses.replace cannot put another body under the same proof.
        if _by is not _VERIFICATION:
            raise TypeError("only verification makes a Verified")


def claimed(header_value: bytes | None) -> bytes:
    """The header's value if it has the one form that Meta sends: `sha256=` and 64 lower-case hex digits.

    Upper case is refused: Meta never sends it, and one accepted spelling is one fewer thing to reason about.
    Raises InvalidSignature (`missing`, `malformed`).
    """
    if not header_value:
        raise InvalidSignature("missing")
    if _HEADER.fullmatch(header_value) is None:
        raise InvalidSignature("malformed")
    return header_value[7:]


def verify(body: bytes, header_value: bytes | None, secrets: Sequence[AppSecret]) -> Verified:
    """Check `X-Hub-Signature-256` over `body` against every live secret.

    All secrets are tried whichever matches, so the time taken says nothing about which one it was.
    Raises InvalidSignature (`missing`, `malformed`, `no_secret`, `mismatch`).
    """
    # 1. The form, before any cryptography.
    claim = claimed(header_value)
    # 2. Fail closed without a secret.
    if not secrets:
        raise InvalidSignature("no_secret")
    # 3. Every candidate, in constant time, on bytes (on str, compare_digest raises for non-ASCII).
    matched: AppSecret | None = None
    for candidate in secrets:
        expected = hmac.digest(candidate.secret, body, "sha256").hex().encode()
        if hmac.compare_digest(expected, claim) and matched is None:
            matched = candidate
    if matched is None:
        raise InvalidSignature("mismatch")
    return Verified(body, matched.id, _VERIFICATION)
