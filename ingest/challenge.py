"""The handshake by which Meta checks a callback address. META.md section 2.

Pure. Needs no Kafka, no signature and no database, so that an outage there never un-verifies the address.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Final

from contracts.errors import MalformedRequest, VerifyTokenMismatch

_MAX_CHALLENGE: Final = 1024
_NAMES: Final = ("hub.mode", "hub.verify_token", "hub.challenge")


def answer(query: Iterable[tuple[str, str]], verify_token: bytes) -> bytes:
    """The challenge to echo, verbatim: no quotes, no newline.

    Raises VerifyTokenMismatch for a wrong token or mode, MalformedRequest if the challenge is missing or a parameter
    stands twice.
    """
    found: dict[str, str] = {}
    for name, value in query:
        if name in _NAMES:
            if name in found:
                raise MalformedRequest("a parameter of the handshake stands twice")
            found[name] = value
    token = found.get("hub.verify_token", "").encode("utf-8", "surrogatepass")
    right = hmac.compare_digest(token, verify_token)
    if not right or found.get("hub.mode") != "subscribe":
        raise VerifyTokenMismatch("the handshake is not for us")
    challenge = found.get("hub.challenge", "")
    if not 0 < len(challenge) <= _MAX_CHALLENGE:
        raise MalformedRequest("the handshake has no usable challenge")
    return challenge.encode("utf-8", "surrogatepass")
