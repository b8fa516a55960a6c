"""What a request itself says of a person, encrypted until it was used: under a key of the day that dies after eight.

The keys lie in erasure's own secrets, outside the database and its backups, so every copy of a row is unreadable when its
day's key is destroyed. Must never keep a key longer, nor write anything that is not encrypted.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.errors import KeyGone, KeyNotYetKnown, TamperedRecord
from runtime.secrets import Secrets

KEPT: Final = timedelta(days=8)
"""From the begin of the key's day: the time in which storage epochs end, too (PRIVACY.md section 3 "Budget")."""
PREFIX: Final = "details-"
_NAME: Final = re.compile(r"details-(\d{8})")
_VERSION: Final = 1
_HEAD_BYTES: Final = 5
_NONCE_BYTES: Final = 12


class DetailKeys:
    """Encrypts and decrypts `mk.erasure_request.details`: `version 1 | day 4 | nonce 12 | ciphertext | tag 16`."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    async def encrypt(self, request: UUID, plaintext: bytes, now: datetime) -> bytes:
        """Bound to its request. `now`: aware. Raises KeyServiceUnavailable."""
        day = now.astimezone(UTC).strftime("%Y%m%d")
        key = await self._secrets.put_secret_if_absent(PREFIX + day, os.urandom(32))
        head = bytes([_VERSION]) + int(day).to_bytes(4)
        nonce = os.urandom(_NONCE_BYTES)
        return head + nonce + AESGCM(key).encrypt(nonce, plaintext, head + request.bytes)

    async def decrypt(self, request: UUID, cell: bytes) -> bytes:
        """Raises KeyGone once the day's key was destroyed, TamperedRecord if it is another request's or was changed,
        KeyServiceUnavailable.
        """
        if len(cell) < _HEAD_BYTES + _NONCE_BYTES + 16 or cell[0] != _VERSION:
            raise TamperedRecord("a request's details are not of this form")
        head, rest = cell[:_HEAD_BYTES], cell[_HEAD_BYTES:]
        try:
            key = await self._secrets.get_secret(f"{PREFIX}{int.from_bytes(head[1:]):08d}")
        except KeyNotYetKnown as exc:
            raise KeyGone("the key of a request's details was destroyed") from exc
        try:
            return AESGCM(key).decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], head + request.bytes)
        except InvalidTag as exc:
            raise TamperedRecord("a request's details do not open") from exc

    async def destroy_ended(self, now: datetime) -> int:
        """Destroy keys whose time is over; how many. Raises KeyServiceUnavailable."""
        ended = 0
        for name in await self._secrets.secret_names(PREFIX):
            matched = _NAME.fullmatch(name)
            if matched is not None and _begin(matched[1]) + KEPT <= now:
                await self._secrets.destroy_secret(name)
                ended += 1
        return ended


def _begin(day: str) -> datetime:
    parsed = date.fromisoformat(f"{day[:4]}-{day[4:6]}-{day[6:]}")
    return datetime(parsed.year, parsed.month, parsed.day, tzinfo=UTC)
