"""Cells and the keys around them: tenant KEK, DEK, encrypted column values. Pure but for the random source.

Cell: `version/suite 1 | generation 2 | nonce 12 | ciphertext | tag 16`, 31 bytes more than the plaintext; AAD = version,
tenant uuid, table, column, subject id, generation, row id. Wrapped DEK: `nonce 12 | 32 | tag 16`, AAD = tenant, subject,
generation, epoch. No key check value: the textbook one *is* GCM's authentication key (PRIVACY.md section 2).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from struct import Struct
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.errors import TamperedRecord

CELL_VERSION: Final = 0x11
"""Version 1, suite 1 (AES-256-GCM)."""
CELL_OVERHEAD_BYTES: Final = 31
WRAPPED_DEK_BYTES: Final = 60
_HEAD: Final = Struct(">BH")
_U16: Final = Struct(">H")
_DEK_AAD: Final = Struct(">16s16sHI")
_KEK_AAD: Final = Struct(">16sI")


def kek_aad(tenant: UUID, epoch: int) -> bytes:
    """What a tenant KEK's wrap under the root key is bound to."""
    return b"mkchannels tenant kek v1\x00" + _KEK_AAD.pack(tenant.bytes, epoch)


def pseudonym_key_aad(tenant: UUID, epoch: int) -> bytes:
    """What the pseudonym key's wrap under the tenant KEK is bound to."""
    return b"mkchannels pseudonym key v1\x00" + _KEK_AAD.pack(tenant.bytes, epoch)


def dek_aad(tenant: UUID, subject: UUID, generation: int, epoch: int) -> bytes:
    """What a DEK's wrap under the tenant KEK is bound to."""
    return b"mkchannels dek v1\x00" + _DEK_AAD.pack(tenant.bytes, subject.bytes, generation, epoch)


def evidence_key_aad(tenant: UUID, key_id: UUID, purpose: str, epoch: int) -> bytes:
    """What an evidence key's wrap under the tenant KEK is bound to."""
    head = b"mkchannels evidence key v1\x00" + _KEK_AAD.pack(tenant.bytes, epoch)
    return head + key_id.bytes + purpose.encode()


def wrap_key(kek: AESGCM, key: bytes, aad: bytes) -> bytes:
    """`key` under `kek`: nonce, ciphertext, tag."""
    nonce = os.urandom(12)
    return nonce + kek.encrypt(nonce, key, aad)


def unwrap_key(kek: AESGCM, wrapped: bytes, aad: bytes) -> bytes:
    """Raises TamperedRecord if it does not open."""
    try:
        return kek.decrypt(wrapped[:12], wrapped[12:], aad)
    except (InvalidTag, ValueError) as exc:
        raise TamperedRecord("a wrapped key does not open") from exc


def new_dek(kek: AESGCM, tenant: UUID, subject: UUID, generation: int, epoch: int) -> tuple[AESGCM, bytes]:
    """A fresh DEK: its cipher for this transaction, and its wrap for the subject's row."""
    dek = os.urandom(32)
    return AESGCM(dek), wrap_key(kek, dek, dek_aad(tenant, subject, generation, epoch))


def open_dek(kek: AESGCM, wrapped: bytes, tenant: UUID, subject: UUID, generation: int, epoch: int) -> AESGCM:
    """A subject's DEK, for this transaction only: caching it resurrects erased people. Raises TamperedRecord."""
    return AESGCM(unwrap_key(kek, wrapped, dek_aad(tenant, subject, generation, epoch)))


class CellBinding:
    """The part of a cell's AAD that all cells of one tenant's column share."""

    __slots__ = ("_prefix",)

    def __init__(self, tenant: UUID, table: str, column: str) -> None:
        names = b"".join(_U16.pack(len(name)) + name for name in (table.encode(), column.encode()))
        self._prefix = bytes((CELL_VERSION,)) + tenant.bytes + names

    def aad(self, subject: UUID, generation: int, row: UUID) -> bytes:
        """The whole AAD of one cell."""
        return b"".join((self._prefix, subject.bytes, _U16.pack(generation), row.bytes))


def encrypt_cell(
    dek: AESGCM, binding: CellBinding, subject: UUID, generation: int, row: UUID, plaintext: bytes
) -> bytes:
    """One encrypted column value."""
    return encrypt_cells(binding, ((dek, subject, generation, row, plaintext),), 1)[0]


def encrypt_cells(
    binding: CellBinding, cells: Iterable[tuple[AESGCM, UUID, int, UUID, bytes]], count: int
) -> list[bytes]:
    """`count` cells of one column, each of DEK, subject, generation, row and plaintext; the nonces are drawn at once."""
    nonces = os.urandom(12 * count)
    made: list[bytes] = []
    at = 0
    for dek, subject, generation, row, plaintext in cells:
        nonce = nonces[at : at + 12]
        if len(nonce) != 12:
            raise ValueError("more cells than were announced")
        at += 12
        encrypted = dek.encrypt(nonce, plaintext, binding.aad(subject, generation, row))
        made.append(b"".join((_HEAD.pack(CELL_VERSION, generation), nonce, encrypted)))
    return made


def decrypt_cell(
    dek: AESGCM, binding: CellBinding, subject: UUID, generation: int, row: UUID, cell: bytes
) -> bytes:
    """Raises TamperedRecord if the cell was changed, or belongs to another tenant, column, subject, generation or row."""
    if len(cell) < CELL_OVERHEAD_BYTES or _HEAD.unpack_from(cell) != (CELL_VERSION, generation):
        raise TamperedRecord("not a cell of this generation")
    try:
        return dek.decrypt(cell[3:15], cell[15:], binding.aad(subject, generation, row))
    except InvalidTag as exc:
        raise TamperedRecord("the cell does not open") from exc
