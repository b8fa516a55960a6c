"""Verification of the `signed_request` of Meta's callbacks. META.md section 15.

Pure. Must never read the payload before its signature is verified, touch a payload's padding before it is hashed, or put
a byte of either into an error.
"""

from __future__ import annotations

import binascii
import hmac
import re
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

from contracts.errors import InvalidSignature, MalformedRequest, UnsupportedAlgorithm
from ingest.signature import AppSecret

FIELD: Final = "signed_request"
_ALGORITHM: Final = "HMAC-SHA256"
_SIGNATURE_BYTES: Final = 32
_LATEST_S: Final = 1 << 40
_MOST_FIELDS: Final = 16
_PART: Final = re.compile(r"[A-Za-z0-9_+/-]+={0,2}")
_USER: Final = re.compile(r"[!-~]{1,128}")
_URL_ALPHABET: Final = str.maketrans("+/", "-_")


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A payload that Meta signed, as JSON. Only `verify` makes one."""

    payload: dict[str, Any] = field(repr=False)
    secret_id: str


@dataclass(frozen=True, slots=True)
class Cause:
    """Whom a callback is about, and when Meta issued it: both together name the request (there is no nonce)."""

    user_id: str = field(repr=False)
    issued_at_s: int


def field_of(form: bytes) -> str:
    """The one `signed_request` of an `application/x-www-form-urlencoded` body. Raises MalformedRequest."""
    try:
        pairs = parse_qsl(form.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError as exc:
        raise MalformedRequest("the body is not a form") from exc
    found = [value for name, value in pairs if name == FIELD]
    if len(found) != 1:
        raise MalformedRequest("the form has not one signed_request")
    return found[0]


def verify(text: str, secrets: Sequence[AppSecret]) -> SignedRequest:
    """Check `text` against every live secret and read its payload.

    Raises MalformedRequest (number of parts, Base64, JSON), InvalidSignature or UnsupportedAlgorithm.
    """
    # 1. Two parts, in the form they may have, before any cryptography.
    parts = text.split(".")
    if len(parts) != 2 or not all(_PART.fullmatch(part) for part in parts):
        raise MalformedRequest("a signed_request has two parts in Base64")
    claim = _decoded(parts[0])
    if len(claim) != _SIGNATURE_BYTES:
        raise MalformedRequest("the signature has not 32 bytes")
    # 2. Every live secret, in constant time, over the payload exactly as received, its padding too.
    if not secrets:
        raise InvalidSignature("no_secret")
    message = parts[1].encode("ascii")
    matched: AppSecret | None = None
    for candidate in secrets:
        expected = hmac.digest(candidate.secret, message, "sha256")
        if hmac.compare_digest(expected, claim) and matched is None:
            matched = candidate
    if matched is None:
        raise InvalidSignature("mismatch")
    # 3. Only now is the payload read.
    try:
        payload = orjson.loads(_decoded(parts[1]))
    except ValueError as exc:
        raise MalformedRequest("the payload is not JSON") from exc
    if not isinstance(payload, dict):
        raise MalformedRequest("the payload is not a JSON object")
    # 4. What was verified is an HMAC-SHA256; a payload that says otherwise is not Meta's.
    if payload.get("algorithm") != _ALGORITHM:
        raise UnsupportedAlgorithm("the payload names another algorithm")
    return SignedRequest(payload, matched.id)


def cause_of(request: SignedRequest) -> Cause:
    """Whom and when. `user_id` is a string or an integer. Raises MalformedRequest."""
    user, issued = request.payload.get("user_id"), request.payload.get("issued_at")
    if isinstance(user, int) and not isinstance(user, bool):
        user = str(user)
    if not isinstance(user, str) or not _USER.fullmatch(user):
        raise MalformedRequest("the payload names nobody")
    if not isinstance(issued, int) or isinstance(issued, bool) or not 0 <= issued < _LATEST_S:
        raise MalformedRequest("the payload does not say when it was issued")
    return Cause(user, issued)


def _decoded(part: str) -> bytes:
    """Unpadded or rightly padded, in the alphabet for URLs or the standard one; one spelling for each content."""
    bare = part.rstrip("=").translate(_URL_ALPHABET)
    padding = "=" * (-len(bare) % 4)
    if len(bare) % 4 == 1 or (part.endswith("=") and part.count("=") != len(padding)):
        raise MalformedRequest("a part is not Base64")
    try:
        content = urlsafe_b64decode(bare + padding)
    except (binascii.Error, ValueError) as exc:
        raise MalformedRequest("a part is not Base64") from exc
    # The last character may have bits that say nothing: whoever turned them did not get this from Meta.
    if b64encode(content, b"-_").decode() != bare + padding:
        raise MalformedRequest("a part is not Base64")
    return content
