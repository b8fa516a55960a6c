"""Names that go into a statement, and migrations that cannot be ordered."""

from pathlib import Path

import pytest

from contracts.errors import SchemaIncompatible
from store.custody.slots import opaque_name
from store.database import with_names
from store.migrate import known


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
