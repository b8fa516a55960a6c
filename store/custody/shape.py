"""Whether tables are as the code declares: columns, constraints, indexes, owners and who may do what.

A tenant's schema is held against one made from `tenant.sql` in a transaction that is rolled back: no second list of what
it should be. The cell's own rights are held against `store/migrations/rights.txt`, which a test holds against a fresh
database. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from store.custody.database import SQL
from store.custody.provision import ROLE_MEMBERS, TENANT_SQL
from store.custody.slots import opaque_name
from store.database import translated, with_names

if TYPE_CHECKING:
    from store.database import Connection

CELL_SCHEMA: Final = "mk"
RIGHTS: Final = Path(__file__).parents[1] / "migrations" / "rights.txt"
_NAME_HERE: Final = "{schema}"


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact that is declared and absent, or there and not declared."""

    schema: str
    fact: str
    is_missing: bool

    def __str__(self) -> str:
        said = "lacks" if self.is_missing else "has, undeclared"
        return f"{self.schema} {said}: {self.fact}"


async def tenant_differences(connection: Connection, schemas: list[str]) -> list[Difference]:
    """How these tenants' schemas differ from what `tenant.sql` makes."""
    declared = await _declared(connection)
    found: list[Difference] = []
    for schema, facts in (await _facts(connection, schemas)).items():
        found += _compare(schema, declared, facts)
    return found


async def cell_differences(connection: Connection) -> list[Difference]:
    """How the rights on the cell's own schema differ from those that its migrations give."""
    return _compare(CELL_SCHEMA, set(RIGHTS.read_text().splitlines()), await cell_rights(connection))


async def cell_rights(connection: Connection) -> set[str]:
    """Who may do what with the cell's own tables."""
    facts = (await _facts(connection, [CELL_SCHEMA]))[CELL_SCHEMA]
    return {fact for fact in facts if " may " in fact or " is owned by " in fact}


async def _declared(connection: Connection) -> set[str]:
    schema = f"t_{opaque_name()}"
    with translated():
        scratch = connection.transaction()
        await scratch.start()
        try:
            for suffix in ROLE_MEMBERS:
                await connection.execute(with_names(SQL["create_role"], role=schema + suffix))
            await connection.execute(SQL["become_owner"])
            await connection.execute(with_names(TENANT_SQL.read_text(), schema=schema))
            return (await _facts(connection, [schema]))[schema]
        finally:
            await scratch.rollback()


async def _facts(connection: Connection, schemas: list[str]) -> dict[str, set[str]]:
    facts: dict[str, set[str]] = {schema: set() for schema in schemas}
    with translated():
        for row in await connection.fetch(SQL["shape_of"], schemas):
            schema = row["schema_name"]
            fact = row["fact"].replace(schema, _NAME_HERE) if schema != CELL_SCHEMA else row["fact"]
            facts[schema].add(fact)
    return facts


def _compare(schema: str, declared: Iterable[str], found: Iterable[str]) -> list[Difference]:
    wanted, there = set(declared), set(found)
    missing = [Difference(schema, fact, True) for fact in sorted(wanted - there)]
    return missing + [Difference(schema, fact, False) for fact in sorted(there - wanted)]
