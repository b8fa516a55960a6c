"""Downstream installs the contracts alone: their own distribution names everything that the reader needs, and no more."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import inspect
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
READS = Path(__file__).with_name("read_with_little.py")


def pyproject(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text())


OWN = pyproject(ROOT / "contracts")


def closure(requirements: list[str]) -> set[str]:
    """The distributions that installing these brings, by normalised name."""
    found: set[str] = set()
    waiting = [_name(one) for one in requirements]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform
        waiting += [_name(one) for one in needs if "extra ==" not in one]
    return found


def _name(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[ ;<>=!~\[(]", requirement, maxsplit=1)[0]).lower()


def modules_beyond(requirements: list[str]) -> list[str]:
    """Top-level modules that are installed here and would not be there."""
    allowed = closure(requirements)
    modules = importlib.metadata.packages_distributions()
    return sorted(
        name
        for name, owners in modules.items()
        if not {_name(owner) for owner in owners} & allowed and name != "contracts" and name.isidentifier()
    )


def as_installed(target: Path) -> Path:
    """The files that the wheel holds, in a folder of their own."""
    for package in OWN["tool"]["setuptools"]["packages"]:
        source = ROOT / Path(*package.split("."))
        goal = target / Path(*package.split("."))
        goal.mkdir(parents=True, exist_ok=True)
        for file in source.glob("*.py"):
            shutil.copy(file, goal)
    return target


def read(installed: Path, absent: list[str]) -> subprocess.CompletedProcess[str]:
    program = f"import sys, runpy; sys.path.insert(0, {str(installed)!r}); runpy.run_path({str(READS)!r}, run_name='__main__')"
    arguments = [str(ROOT / "contracts" / "vectors"), *absent]
    return subprocess.run(
        [sys.executable, "-I", "-c", program, *arguments], capture_output=True, text=True, timeout=20
    )


def test_the_contracts_alone_read_an_event(tmp_path: Path) -> None:
    absent = modules_beyond(OWN["project"]["dependencies"])
    assert {"aiohttp", "aiokafka", "asyncpg", "cramjam", "orjson", "prometheus_client", "structlog"} <= set(
        absent
    )
    done = read(as_installed(tmp_path), absent)
    assert (done.returncode, done.stdout) == (0, "read: message.received\n"), done.stderr


def test_with_the_kafka_extra_the_consumer_is_there_as_well(tmp_path: Path) -> None:
    extra = OWN["project"]["optional-dependencies"]["kafka"]
    absent = modules_beyond([*OWN["project"]["dependencies"], *extra])
    assert {"aiohttp", "asyncpg", "orjson", "structlog"} <= set(absent)
    done = read(as_installed(tmp_path), ["--consumer", *absent])
    assert done.returncode == 0, done.stderr


def test_what_the_wheels_page_shows_is_what_the_package_has() -> None:
    page = (ROOT / "contracts" / OWN["project"]["readme"]).read_text()
    programs = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(programs) == 2
    for program in programs:
        names: dict[str, Any] = {}
        exec(compile(program, "README.md", "exec"), names)
        for node in ast.walk(ast.parse(program)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                accepted = inspect.signature(names[node.func.id]).parameters
                assert {word.arg for word in node.keywords} <= accepted.keys(), node.func.id
    errors = importlib.import_module("contracts.errors")
    assert all(
        hasattr(errors, name)
        for name in ("TamperedRecord", "ContractViolation", "ReplayLimit", "KeyNotYetKnown")
    )


def test_nothing_more_is_asked_for_than_the_service_itself_asks_for() -> None:
    extra = OWN["project"]["optional-dependencies"]["kafka"]
    service = set(pyproject(ROOT)["project"]["dependencies"])
    assert {*OWN["project"]["dependencies"], *extra} <= service
