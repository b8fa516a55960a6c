"""Cells, wrapped keys and the local keyring."""

from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import KeyNotYetKnown, TamperedRecord
from runtime.files import SecretFolder
from store.keys.cells import (
    CELL_OVERHEAD_BYTES,
    WRAPPED_DEK_BYTES,
    CellBinding,
    decrypt_cell,
    encrypt_cell,
    kek_aad,
    new_dek,
    open_dek,
)
from store.keys.keyring import LocalKeyring
from store.lanes.keks import TenantKeks, WrappedKek

TENANT, OTHER, SUBJECT, ROW = (UUID(int=number) for number in range(1, 5))
KEK = AESGCM(bytes(32))
DEK = AESGCM(bytes(range(32)))
BODY = CellBinding(TENANT, "message", "body")
generations = st.integers(1, 32_767)


@given(st.binary(max_size=2_000), generations)
def test_a_cell_opens_to_what_was_encrypted(plaintext: bytes, generation: int) -> None:
    cell = encrypt_cell(DEK, BODY, SUBJECT, generation, ROW, plaintext)
    assert len(cell) == len(plaintext) + CELL_OVERHEAD_BYTES
    assert decrypt_cell(DEK, BODY, SUBJECT, generation, ROW, cell) == plaintext


@pytest.mark.parametrize(
    ("binding", "subject", "generation", "row"),
    [
        (CellBinding(OTHER, "message", "body"), SUBJECT, 1, ROW),
        (CellBinding(TENANT, "messag", "ebody"), SUBJECT, 1, ROW),
        (CellBinding(TENANT, "message", "other"), SUBJECT, 1, ROW),
        (BODY, OTHER, 1, ROW),
        (BODY, SUBJECT, 2, ROW),
        (BODY, SUBJECT, 1, OTHER),
    ],
)
def test_a_cell_opens_nowhere_else(binding: CellBinding, subject: UUID, generation: int, row: UUID) -> None:
    cell = encrypt_cell(DEK, BODY, SUBJECT, 1, ROW, b"text")
    with pytest.raises(TamperedRecord):
        decrypt_cell(DEK, binding, subject, generation, row, cell)


@given(st.integers(0, CELL_OVERHEAD_BYTES + 3), st.integers(1, 255))
def test_no_byte_of_a_cell_can_be_changed(at: int, flip: int) -> None:
    cell = bytearray(encrypt_cell(DEK, BODY, SUBJECT, 1, ROW, b"text"))
    cell[at] ^= flip
    with pytest.raises(TamperedRecord):
        decrypt_cell(DEK, BODY, SUBJECT, 1, ROW, bytes(cell))


@pytest.mark.parametrize("length", [0, 3, 30])
def test_a_short_cell_is_tampered(length: int) -> None:
    with pytest.raises(TamperedRecord):
        decrypt_cell(DEK, BODY, SUBJECT, 1, ROW, b"\x11\x00\x01".ljust(length, b"\x00")[:length])


def test_a_wrapped_dek_opens_only_for_its_subject_generation_and_epoch() -> None:
    dek, wrapped = new_dek(KEK, TENANT, SUBJECT, 1, 1)
    assert len(wrapped) == WRAPPED_DEK_BYTES
    cell = encrypt_cell(dek, BODY, SUBJECT, 1, ROW, b"text")
    opened = open_dek(KEK, wrapped, TENANT, SUBJECT, 1, 1)
    assert decrypt_cell(opened, BODY, SUBJECT, 1, ROW, cell) == b"text"
    for arguments in (
        (OTHER, SUBJECT, 1, 1),
        (TENANT, OTHER, 1, 1),
        (TENANT, SUBJECT, 2, 1),
        (TENANT, SUBJECT, 1, 2),
    ):
        with pytest.raises(TamperedRecord):
            open_dek(KEK, wrapped, *arguments)
    with pytest.raises(TamperedRecord):
        open_dek(AESGCM(b"x" * 32), wrapped, TENANT, SUBJECT, 1, 1)
    with pytest.raises(TamperedRecord):
        open_dek(KEK, b"", TENANT, SUBJECT, 1, 1)


async def test_the_keyring_wraps_by_epoch_and_a_destroyed_epoch_opens_nothing(tmp_path: Path) -> None:
    keyring = LocalKeyring(SecretFolder(tmp_path / "keys"))
    await keyring.new_epoch(1)
    await keyring.new_epoch(2)
    wrapped = await keyring.wrap(1, b"kek", b"aad")
    assert await keyring.unwrap(1, wrapped, b"aad") == b"kek"
    for epoch, aad in ((2, b"aad"), (1, b"other")):
        with pytest.raises(TamperedRecord):
            await keyring.unwrap(epoch, wrapped, aad)
    await keyring.destroy_epoch(1)
    assert (await keyring.status()).epochs == (2,)
    with pytest.raises(KeyNotYetKnown):
        await keyring.unwrap(1, wrapped, b"aad")
    assert (tmp_path / "keys" / "root-2").stat().st_mode & 0o777 == 0o600


async def test_an_epoch_made_twice_keeps_its_first_key(tmp_path: Path) -> None:
    keyring = LocalKeyring(SecretFolder(tmp_path))
    await keyring.new_epoch(1)
    wrapped = await keyring.wrap(1, b"kek", b"")
    await keyring.new_epoch(1)
    assert await keyring.unwrap(1, wrapped, b"") == b"kek"


async def test_a_tenant_kek_is_kept_by_its_wrapped_bytes_and_never_for_another_tenant(tmp_path: Path) -> None:
    keyring = LocalKeyring(SecretFolder(tmp_path))
    await keyring.new_epoch(1)
    row = WrappedKek(1, 1, await keyring.wrap(1, b"k" * 32, kek_aad(TENANT, 1)))
    keks = TenantKeks(keyring)
    first = await keks.cipher(TENANT, row)
    assert await keks.cipher(TENANT, row) is first
    with pytest.raises(TamperedRecord):
        await keks.cipher(OTHER, row)
    again = WrappedKek(1, 1, await keyring.wrap(1, b"k" * 32, kek_aad(TENANT, 1)))
    assert await keks.cipher(TENANT, again) is not first
