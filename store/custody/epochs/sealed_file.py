"""The file format of an export: a header, then frames of AES-256-GCM under a key that the current root epoch wraps.

`MKKEYEXP | version 1 | root epoch 4 | length of the wrapped key 2 | wrapped key`, then frames `length 4 | ciphertext`.
A frame's plaintext is one kind byte and content: `S` a section's name, `D` its rows (PostgreSQL's binary COPY), `E` the
end. Nonce = the frame's number; AAD = SHA-256 of the header, so frames cannot be moved, dropped at the end or mixed.
Source of the construction: Hoang, Reyhanitabar, Rogaway, Vizár 2015 (STREAM). Must never hold a plain key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import Struct
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.errors import TamperedRecord

MAGIC: Final = b"MKKEYEXP\x01"
FRAME: Final = 1 << 20
_HEAD: Final = Struct(">IH")
_LENGTH: Final = Struct(">I")
_LARGEST: Final = FRAME + 17 + (64 << 10)


def export_aad(root_epoch: int) -> bytes:
    """What the file key's wrap under the root key is bound to."""
    return b"mkchannels key export v1\x00" + root_epoch.to_bytes(4)


@dataclass(frozen=True, slots=True)
class Header:
    """Which root epoch opens the file, and the wrapped file key."""

    root_epoch: int
    wrapped_key: bytes = field(repr=False)

    @property
    def raw(self) -> bytes:
        """As it stands in the file."""
        return MAGIC + _HEAD.pack(self.root_epoch, len(self.wrapped_key)) + self.wrapped_key

    @classmethod
    def read(cls, file: BinaryIO) -> Header:
        """Raises TamperedRecord if it is not the start of an export."""
        start = file.read(len(MAGIC) + _HEAD.size)
        if len(start) != len(MAGIC) + _HEAD.size or not start.startswith(MAGIC):
            raise TamperedRecord("not an export of key tables")
        root_epoch, length = _HEAD.unpack_from(start, len(MAGIC))
        return cls(root_epoch, file.read(length))


class SealedWriter:
    """Writes frames to files, the same bytes to each."""

    def __init__(self, files: list[BinaryIO], key: bytes, header: Header) -> None:
        self._files, self._cipher = files, AESGCM(key)
        self._aad = hashlib.sha256(header.raw).digest()
        self._number = 0
        self._pending = bytearray()
        self._digest = hashlib.sha256()
        self.bytes = 0
        self._put(header.raw)

    def section(self, name: str) -> None:
        """What follows is `name`'s rows."""
        self._flush()
        self._seal(b"S" + name.encode())

    async def write(self, chunk: bytes) -> None:
        """Rows of the section, in pieces of any size; a coroutine because asyncpg hands them to one."""
        self._pending += chunk
        while len(self._pending) >= FRAME:
            self._seal(b"D" + bytes(self._pending[:FRAME]))
            del self._pending[:FRAME]

    def end(self) -> bytes:
        """The last frame; the SHA-256 of everything written."""
        self._flush()
        self._seal(b"E")
        return self._digest.digest()

    def _flush(self) -> None:
        if self._pending:
            self._seal(b"D" + bytes(self._pending))
            self._pending.clear()

    def _seal(self, plaintext: bytes) -> None:
        sealed = self._cipher.encrypt(self._number.to_bytes(12), plaintext, self._aad)
        self._number += 1
        self._put(_LENGTH.pack(len(sealed)) + sealed)

    def _put(self, raw: bytes) -> None:
        for file in self._files:
            file.write(raw)
        self._digest.update(raw)
        self.bytes += len(raw)


def read_sections(file: BinaryIO, key: bytes, header: Header) -> Iterator[tuple[str, bytes]]:
    """(section, piece of its rows) in order; an empty piece where a section begins.

    Raises TamperedRecord if a frame was changed, moved or is missing, also at the end.
    """
    cipher, aad = AESGCM(key), hashlib.sha256(header.raw).digest()
    number, section = 0, ""
    while True:
        head = file.read(_LENGTH.size)
        length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
        sealed = file.read(length) if 17 <= length <= _LARGEST else b""
        if len(sealed) != length:
            raise TamperedRecord("an export was changed or cut off")
        try:
            plaintext = cipher.decrypt(number.to_bytes(12), sealed, aad)
        except (InvalidTag, ValueError) as exc:
            raise TamperedRecord("an export was changed or cut off") from exc
        number += 1
        kind, content = plaintext[:1], plaintext[1:]
        if kind == b"S":
            section = content.decode()
            yield section, b""
        elif kind == b"D":
            yield section, content
        elif kind == b"E" and not file.read(1):
            return
        else:
            raise TamperedRecord("an export goes on after its end")
