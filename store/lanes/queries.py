"""Loads `queries.sql`: each statement under its name, as a constant. Holds the one rule by which a schema name enters SQL.

Must never put anything into a statement but a checked schema name and integers.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Final, NewType
from uuid import UUID

from contracts.errors import SchemaIncompatible

Sql = NewType("Sql", str)
"""A statement that came from `queries.sql`; asyncpg is never given another string."""

_SCHEMA: Final = re.compile(r"t_[a-z0-9]{8,24}")
_NAMED: Final = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def _load() -> dict[str, str]:
    text = resources.files(__package__).joinpath("queries.sql").read_text()
    _, *parts = _NAMED.split(text)
    return {
        name: re.sub(r"^--.*\n", "", body, flags=re.MULTILINE).strip()
        for name, body in zip(parts[::2], parts[1::2], strict=True)
    }


_STATEMENTS: Final = _load()


def lock_number(tenant: UUID) -> int:
    """The tenant's advisory lock: the first 64 bits of its id, signed. Erasure and custody take the same number."""
    return int.from_bytes(tenant.bytes[:8], signed=True)


def check_schema(schema: str) -> str:
    """Raises SchemaIncompatible unless `schema` is a name that the custodian makes."""
    if not _SCHEMA.fullmatch(schema):
        raise SchemaIncompatible("a tenant's schema has a name that nobody here makes")
    return schema


def fixed(name: str) -> Sql:
    """A statement that names no tenant's schema."""
    statement = _STATEMENTS[name]
    assert "{" not in statement
    return Sql(statement)


class TenantStatements:
    """The statements for one tenant's schema, made once and kept: asyncpg prepares each text once a connection."""

    __slots__ = (
        "create_lane", "create_subjects", "keep_out", "linked_subjects", "open_generations", "persist", "read_batch", "read_epochs",
        "read_lane", "read_messages", "schema", "subjects_by_ref",
    )  # fmt: skip

    def __init__(self, schema: str) -> None:
        self.schema = check_schema(schema)
        self.create_lane = self._made("create_lane")
        self.create_subjects = self._made("create_subjects")
        self.keep_out = self._made("keep_out")
        self.linked_subjects = self._made("linked_subjects")
        self.open_generations = self._made("open_generations")
        self.persist = self._made("persist")
        self.read_batch = self._made("read_batch")
        self.read_epochs = self._made("read_epochs")
        self.read_lane = self._made("read_lane")
        self.read_messages = self._made("read_messages")
        self.subjects_by_ref = self._made("subjects_by_ref")

    def enter(self, name: str, tenant: UUID, lock_timeout_ms: int) -> Sql:
        """`begin`, `begin_shared` or `next_tenant`: role, lock timeout and shared tenant lock in one simple query.

        `begin_unlocked`: without the lock, to read a position.
        """
        statement = _STATEMENTS[name].replace("{schema}", self.schema)
        return Sql(
            statement.replace("{lock}", str(int(lock_number(tenant)))).replace(
                "{timeout}", str(int(lock_timeout_ms))
            )
        )

    def enter_reader(self) -> Sql:
        """Role of the reading commands."""
        return self._made("enter_reader")

    def _made(self, name: str) -> Sql:
        return Sql(_STATEMENTS[name].replace("{schema}", self.schema))


@cache
def tenant_statements(schema: str) -> TenantStatements:
    """Raises SchemaIncompatible for a name that nobody here makes."""
    return TenantStatements(schema)
