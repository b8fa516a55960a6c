"""Names that go into a statement, and migrations that cannot be ordered."""

import hashlib
from pathlib import Path

import pytest

from contracts.errors import SchemaIncompatible
from store.custody.slots import opaque_name
from store.database import with_names
from store.migrate import FUNCTIONS, INCLUDE, MIGRATIONS, known


@pytest.mark.parametrize("name", ["t_x; DROP", 'a"b', "", "T_X", "x" * 64, "a'b", "a.b"])
def test_only_a_plain_name_is_put_into_a_statement(name: str) -> None:
    with pytest.raises(ValueError, match="did not make"):
        with_names("CREATE SCHEMA {schema}", schema=name)


def test_a_slots_name_is_ten_opaque_characters_and_never_the_same() -> None:
    names = {opaque_name() for _ in range(200)}
    assert len(names) == 200
    assert all(len(name) == 10 and set(name) <= set("abcdefghijklmnopqrstuvwxyz234567") for name in names)


def test_migrations_with_a_missing_number_or_another_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "0002_later.sql").write_text("SELECT 1")
    with pytest.raises(SchemaIncompatible):
        known(tmp_path)
    (tmp_path / "0001_cell.sql").write_text("SELECT 1")
    assert [migration.number for migration in known(tmp_path)] == [1, 2]
    (tmp_path / "cell.sql").write_text("SELECT 1")
    with pytest.raises(SchemaIncompatible):
        known(tmp_path)


def test_a_function_has_one_text_and_its_last_migration_is_of_that_text(tmp_path: Path) -> None:
    included = {
        name: digest
        for migration in sorted(MIGRATIONS.glob("*.sql"))
        for name, digest in INCLUDE.findall(migration.read_text())
    }
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in FUNCTIONS.iterdir()}
    assert included == files, "a changed function needs a new migration that includes it"
    newest = max(one.number for one in known() if "FUNCTION mk.apply_fence(" in one.sql)
    assert (FUNCTIONS / "apply_fence.sql").read_text() in known()[newest - 1].sql
    (tmp_path / "0001_cell.sql").write_text(f"-- include: nothing.sql {'0' * 16}\n")
    with pytest.raises(SchemaIncompatible):
        known(tmp_path)
