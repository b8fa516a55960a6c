"""The operator's command says what went wrong, and nothing of what it was given."""

import subprocess
import sys
import types

import pytest

from runtime import mkc
from runtime.mkc import Command


def command(monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> list[list[str]]:
    """`mkc broken …`, which notes its arguments or raises; the notes."""
    given: list[list[str]] = []

    def main(arguments: list[str]) -> int:
        given.append(arguments)
        if error is not None:
            raise error
        return 0

    module = types.ModuleType("broken_command")
    module.main = main  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "broken_command", module)
    monkeypatch.setitem(mkc.COMMANDS, "broken", Command("broken_command", ""))
    return given


@pytest.mark.parametrize("argument", ["a\x1b[31m", "a\x00", "line\nline", "bytes \udcff", "\x9b"])
def test_what_is_not_text_is_refused_before_anything_happens(
    argument: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = command(monkeypatch)
    assert mkc.main(["broken", argument]) == 2
    assert given == []
    assert argument not in capsys.readouterr().err


def test_names_in_any_script_are_text(monkeypatch: pytest.MonkeyPatch) -> None:
    given = command(monkeypatch)
    assert mkc.main(["broken", "Açaí & Cia.", "株式会社", "'; DROP TABLE", "👩‍👧"]) == 0
    assert len(given) == 1


def test_an_unforeseen_error_shows_its_type_and_place_but_not_its_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(monkeypatch, ValueError("invalid input: 'Maria da Silva'"))
    assert mkc.main(["broken"]) == 1
    shown = capsys.readouterr().err
    assert "ValueError" in shown
    assert "test_mkc.py:main:" in shown
    assert "Maria" not in shown
    assert "Traceback" not in shown


def test_core_dumps_of_a_command_are_off() -> None:
    program = (
        "import resource, sys; from runtime import mkc; mkc.main(['--help']);"
        "sys.stderr.write(str(resource.getrlimit(resource.RLIMIT_CORE)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == "(0, 0)"
