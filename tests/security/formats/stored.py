"""What lies in Postgres, in the keyring and on disk: cells, wrapped keys, exports, the raw keys' file."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.errors import KeyNotYetKnown, TamperedRecord
from contracts.hybrid import HybridPrivateKey
from contracts.key_file import RAW_KEYS, REQUEST_KEYS, KeyFile, PublishedKey
from contracts.signing import RIGHTS_BY_PROCESS, KnownSigner, Right, Signer
from runtime.files import SecretFolder
from store.custody.epochs.export import open_file
from store.custody.epochs.sealed_file import Header, SealedWriter, export_aad, read_sections
from store.keys.cells import (
    CellBinding,
    decrypt_cell,
    encrypt_cell,
    evidence_key_aad,
    kek_aad,
    new_dek,
    open_dek,
    pseudonym_key_aad,
    unwrap_key,
    wrap_key,
)
from store.keys.evidence import Purpose
from store.keys.keyring import LocalKeyring
from store.keys.provider import KeyProvider
from store.keys.transit import Transit
from tests.security.formats.form import Form, Opening, Pieces
from tests.support.key_policies import POLICIES
from tests.support.key_server import KeyServer

TENANT: Final = UUID(int=0x1111)
OTHER: Final = UUID(int=0x2222)
SUBJECT: Final = UUID(int=0x3333)
ROW: Final = UUID(int=0x4444)

Ask = Callable[[Callable[[KeyProvider], Awaitable[Any]]], Any]
"""Does something with a provider, in a loop of its own."""


def forms(folder: Path) -> Iterator[Form]:
    """Every stored format. `folder`: an empty one for the keyring's files."""
    yield _cell()
    yield _wrapped_dek()
    yield _wrapped_pseudonym_key()

    def ask(work: Callable[[KeyProvider], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            return await work(LocalKeyring(SecretFolder(folder)))

        return asyncio.run(run())

    yield _wrapped_evidence_key()
    yield from _under_roots(ask, "")
    yield _keys_file("raw keys' file", RAW_KEYS, "router", "ingest")
    yield _keys_file("request keys' file", REQUEST_KEYS, "custodian", "router")


def transit_forms(server: KeyServer, folder: Path) -> Iterator[Form]:
    """What a key server wraps. `folder`: an empty one, for the token."""
    prefix = "f" + os.urandom(4).hex()
    paths = {path.replace("mk-", f"{prefix}-"): may for path, may in POLICIES["custodian"].items()}
    at = server.at(folder, server.token(prefix, paths))

    def ask(work: Callable[[KeyProvider], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            client = Transit(at, prefix=prefix)
            try:
                return await work(client)
            finally:
                await client.close()

        return asyncio.run(run())

    yield from _under_roots(ask, f", by {server.name}")


def _under_roots(ask: Ask, by: str) -> Iterator[Form]:
    for epoch in (1, 2):
        ask(lambda provider, epoch=epoch: provider.new_epoch(epoch))  # type: ignore[misc]
    yield _wrapped_kek(ask, by)
    yield _export(ask, by)


def _cell() -> Form:
    dek = AESGCM(os.urandom(32))
    binding = CellBinding(TENANT, "message", "body")
    cell = encrypt_cell(dek, binding, SUBJECT, 7, ROW, b"bom dia")

    def opened(
        binding: CellBinding = binding,
        subject: UUID = SUBJECT,
        generation: int = 7,
        row: UUID = ROW,
        key: AESGCM = dek,
    ) -> Opening:
        return lambda pieces: decrypt_cell(key, binding, subject, generation, row, pieces["cell"])

    def regenerated(pieces: Pieces) -> bytes:
        # The generation in the clear changed to fit.
        cell = pieces["cell"][:1] + (8).to_bytes(2) + pieces["cell"][3:]
        return decrypt_cell(dek, binding, SUBJECT, 8, ROW, cell)

    return Form(
        "cell",
        {"cell": cell},
        opened(),
        {
            "to another tenant": opened(CellBinding(OTHER, "message", "body")),
            "to another table": opened(CellBinding(TENANT, "person", "body")),
            "to another column": opened(CellBinding(TENANT, "message", "envelope")),
            "across table and column": opened(CellBinding(TENANT, "messageb", "ody")),
            "to another subject": opened(subject=OTHER),
            "to another generation": opened(generation=8),
            "to another generation, which it says": regenerated,
            "to another row": opened(row=OTHER),
            "to another key": opened(key=AESGCM(os.urandom(32))),
            "subject and row exchanged": opened(subject=ROW, row=SUBJECT),
        },
        bits=8,
    )


def _wrapped_dek() -> Form:
    kek = AESGCM(os.urandom(32))
    _, wrapped = new_dek(kek, TENANT, SUBJECT, 3, 5)

    def opened(
        tenant: UUID = TENANT, subject: UUID = SUBJECT, generation: int = 3, epoch: int = 5, key: AESGCM = kek
    ) -> Opening:
        return lambda pieces: open_dek(key, pieces["wrapped"], tenant, subject, generation, epoch)

    return Form(
        "wrapped DEK",
        {"wrapped": wrapped},
        opened(),
        {
            "to another tenant": opened(tenant=OTHER),
            "to another subject": opened(subject=OTHER),
            "tenant and subject exchanged": opened(tenant=SUBJECT, subject=TENANT),
            "to another generation": opened(generation=4),
            "to another epoch": opened(epoch=6),
            "to another tenant's key": opened(key=AESGCM(os.urandom(32))),
            "to the place of the pseudonym key": lambda pieces: unwrap_key(
                kek, pieces["wrapped"], pseudonym_key_aad(TENANT, 5)
            ),
            "to the place of a tenant's key": lambda pieces: unwrap_key(
                kek, pieces["wrapped"], kek_aad(TENANT, 5)
            ),
        },
        bits=8,
    )


def _wrapped_pseudonym_key() -> Form:
    kek = AESGCM(os.urandom(32))
    wrapped = wrap_key(kek, os.urandom(32), pseudonym_key_aad(TENANT, 5))

    def opened(tenant: UUID = TENANT, epoch: int = 5) -> Opening:
        return lambda pieces: unwrap_key(kek, pieces["wrapped"], pseudonym_key_aad(tenant, epoch))

    return Form(
        "wrapped pseudonym key",
        {"wrapped": wrapped},
        opened(),
        {
            "to another tenant": opened(tenant=OTHER),
            "to another epoch": opened(epoch=6),
            "to the place of a subject's key": lambda pieces: open_dek(
                kek, pieces["wrapped"], TENANT, SUBJECT, 1, 5
            ),
        },
        bits=8,
    )


def _wrapped_evidence_key() -> Form:
    kek, key_id = AESGCM(os.urandom(32)), UUID(int=0x7777)
    wrapped = wrap_key(kek, os.urandom(32), evidence_key_aad(TENANT, key_id, Purpose.REQUEST, 5))

    def opened(
        tenant: UUID = TENANT, key_id: UUID = key_id, purpose: Purpose = Purpose.REQUEST, epoch: int = 5
    ) -> Opening:
        aad = evidence_key_aad(tenant, key_id, purpose, epoch)
        return lambda pieces: unwrap_key(kek, pieces["wrapped"], aad)

    return Form(
        "wrapped evidence key",
        {"wrapped": wrapped},
        opened(),
        {
            "to another tenant": opened(tenant=OTHER),
            "to another key's id": opened(key_id=ROW),
            "from a request to a hold": opened(purpose=Purpose.HOLD),
            "to another epoch": opened(epoch=6),
            "to the place of the pseudonym key": lambda pieces: unwrap_key(
                kek, pieces["wrapped"], pseudonym_key_aad(TENANT, 5)
            ),
        },
        bits=8,
    )


def _wrapped_kek(ask: Ask, by: str) -> Form:
    wrapped = ask(lambda provider: provider.wrap(1, os.urandom(32), kek_aad(TENANT, 5)))

    def opened(root: int = 1, aad: bytes = kek_aad(TENANT, 5)) -> Opening:
        return lambda pieces: ask(lambda provider: provider.unwrap(root, pieces["wrapped"], aad))

    return Form(
        f"wrapped KEK{by}",
        {"wrapped": wrapped},
        opened(),
        {
            "to another root epoch": opened(root=2),
            "to another tenant": opened(aad=kek_aad(OTHER, 5)),
            "to another epoch": opened(aad=kek_aad(TENANT, 6)),
            "to the place of an export's key": opened(aad=export_aad(1)),
        },
    )


def _export(ask: Ask, by: str) -> Form:
    key = os.urandom(32)
    header = Header(1, ask(lambda provider: provider.wrap(1, key, export_aad(1))))

    def made(section: str) -> bytes:
        file = io.BytesIO()
        writer = SealedWriter([file], key, header)
        writer.section(section)
        asyncio.run(writer.write(b"rows of " + section.encode()))
        writer.section("roots")
        writer.end()
        return file.getvalue()

    def opened(raw: bytes) -> list[tuple[str, bytes]]:
        file = io.BytesIO(raw)
        found = Header.read(file)
        return list(read_sections(file, ask(lambda provider: open_file(provider, found)), found))

    whole, start = made(f"{TENANT}/1/epochs"), len(header.raw)
    frames, rest = [], whole[start:]
    while rest:
        size = 4 + int.from_bytes(rest[:4])
        frames.append(rest[:size])
        rest = rest[size:]

    def reordered(*numbers: int) -> Opening:
        return lambda pieces: opened(header.raw + b"".join(frames[number] for number in numbers))

    return Form(
        f"export of the key tables{by}",
        {"file": whole},
        lambda pieces: opened(pieces["file"]),
        {
            "two frames exchanged": reordered(1, 0, 2, 3),
            "a frame left out": reordered(0, 2, 3),
            "a frame twice": reordered(0, 1, 1, 2, 3),
            "the end left out": reordered(0, 1, 2),
            "the end twice": reordered(0, 1, 2, 3, 3),
            "the end too early": reordered(0, 1, 3),
            "nothing but the header": reordered(),
        },
        # Of a root epoch that does not exist nobody can say more.
        refusals=(TamperedRecord, KeyNotYetKnown),
    )


def _keys_file(name: str, kind: KeyFile, by: str, not_by: str) -> Form:
    signer = Signer.from_bytes(by, os.urandom(32))
    other_kind = RAW_KEYS if kind is REQUEST_KEYS else REQUEST_KEYS
    now = datetime.now(UTC)
    public = HybridPrivateKey.generate().public.raw
    key = PublishedKey.model_construct(public_key=public, active_from=now, seal_until=now + timedelta(days=4))

    def known(signer: Signer, process: str = by) -> KnownSigner:
        return KnownSigner(by, signer.public_raw, RIGHTS_BY_PROCESS[process])

    def opened(by: KnownSigner, kind: KeyFile = kind) -> Opening:
        return lambda pieces: kind.decode(pieces["file"], by)

    return Form(
        name,
        {"file": kind.encode((key,), signer)},
        opened(known(signer)),
        {
            f"signed by another {by}": opened(known(Signer.from_bytes(by, os.urandom(32)))),
            "signed by who may not": opened(known(signer, not_by)),
            "to the place of the other file": opened(
                KnownSigner(by, signer.public_raw, frozenset(Right)), other_kind
            ),
        },
    )
