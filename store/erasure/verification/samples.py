"""Ciphertext that somebody took before an erasure, and every key that exists tried on it afterwards.

The database keeps no old ciphertext on purpose, so whoever doubts takes a sample first: `mkc receipt sample`. It holds what
`psql` shows, no key and nothing readable. Must never open a cell to show it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

import orjson
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.errors import InvalidSettings, TamperedRecord
from store.database import statements, with_names
from store.keys.cells import CellBinding, decrypt_cell, open_dek
from store.keys.provider import KeyProvider
from store.lanes.keks import TenantKeks, WrappedKek

if TYPE_CHECKING:
    from store.database import Connection

SQL: Final = statements(Path(__file__).with_name("live.sql"))
_TRIED_AT_MOST: Final = 1_000
"""Samples on which every key is tried."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One row's ciphertext as it stood in the database."""

    id: UUID
    subject: UUID
    generation: int
    body: bytes = field(repr=False)

    def line(self) -> bytes:
        """One JSON line."""
        return orjson.dumps(
            {
                "id": str(self.id),
                "subject": str(self.subject),
                "generation": self.generation,
                "body": self.body.hex(),
            }
        )


def read_samples(path: Path) -> list[Sample]:
    """The samples of a file. Raises InvalidSettings."""
    try:
        lines = [orjson.loads(line) for line in path.read_bytes().splitlines() if line.strip()]
        return [
            Sample(UUID(one["id"]), UUID(one["subject"]), int(one["generation"]), bytes.fromhex(one["body"]))
            for one in lines[:_TRIED_AT_MOST]
        ]
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise InvalidSettings("--sample: not a readable file of samples") from exc


async def take_samples(connection: Connection, schema: str, count: int) -> list[Sample]:
    """Rows at random, as ciphertext. Inside a transaction as the tenant's read role."""
    rows = await connection.fetch(with_names(SQL["sample"], schema=schema), count)
    return [Sample(row["id"], row["subject_id"], row["generation"], row["body"]) for row in rows]


async def opening_keys(
    connection: Connection, schema: str, tenant: UUID, provider: KeyProvider
) -> list[AESGCM]:
    """Every key of a person of this tenant that exists. Inside a transaction as the tenant's read role."""
    keks = TenantKeks(provider)
    epochs = {
        row["epoch"]: WrappedKek(row["epoch"], row["root_epoch"], row["wrapped_kek"])
        for row in await connection.fetch(with_names(SQL["epochs"], schema=schema))
    }
    found = []
    for row in await connection.fetch(with_names(SQL["living_keys"], schema=schema)):
        kek = await keks.cipher(tenant, epochs[row["epoch"]])
        found.append(
            open_dek(kek, row["wrapped"], tenant, row["subject_id"], row["generation"], row["epoch"])
        )
    return found


def opened(samples: Iterable[Sample], keys: Sequence[AESGCM], tenant: UUID) -> int:
    """How many samples open with any of the keys: AES-GCM says so by its tag; what it opens is thrown away."""
    binding = CellBinding(tenant, "message", "body")
    return sum(any(_opens(key, binding, sample) for key in keys) for sample in samples)


def _opens(key: AESGCM, binding: CellBinding, sample: Sample) -> bool:
    try:
        decrypt_cell(key, binding, sample.subject, sample.generation, sample.id, sample.body)
    except TamperedRecord:
        return False
    return True
