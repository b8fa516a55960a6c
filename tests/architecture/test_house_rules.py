"""Rules of the house that a tool can check: sizes and names of modules, borders, one declaration of each shared thing."""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts import errors, topics
from contracts.metrics import METRICS, PROCESSES

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("contracts", "deploy", "ingest", "router", "runtime", "store")
LONGEST_MODULE = 400
VAGUE = re.compile(
    r"^(utils?|helpers?|common|base|misc|shared|tools|lib|core|stuff|manager)(_.*|$)|_(utils?|helpers?)$"
)
PAYLOAD_FIELDS = {"body", "plaintext", "payload", "text", "secret", "secrets", "token", "verify_token"}


def modules(*folders: str) -> Iterator[Path]:
    """All Python files of these folders."""
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_module_is_longer_than_one_can_hold_in_mind() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in modules(*PRODUCT, "tests")}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_MODULE} == {}


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [name_of(path) for path in modules(*PRODUCT, "tests") if VAGUE.search(path.stem)] == []


def test_the_name_rule_knows_a_vague_name() -> None:
    assert all(
        VAGUE.search(name) for name in ("utils", "common", "helper", "base", "string_utils", "misc_things")
    )
    assert not any(VAGUE.search(name) for name in ("split", "baseline", "commons_licence", "publish"))


def test_every_module_says_what_it_is_responsible_for() -> None:
    silent = [
        name_of(path)
        for path in modules(*PRODUCT, "tests")
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_whoever_catches_everything_says_why() -> None:
    silent = []
    for path in modules(*PRODUCT):
        lines = path.read_text().splitlines()
        for node in ast.walk(ast.parse("\n".join(lines))):
            if isinstance(node, ast.ExceptHandler) and (node.type is None or _names_all(node.type)):
                says_why = "#" in "".join(lines[node.lineno - 1 : node.body[0].lineno])
                if not says_why and not any(isinstance(inner, ast.Raise) for inner in node.body):
                    silent.append(f"{name_of(path)}:{node.lineno}")
    assert silent == []


def _names_all(caught: ast.expr) -> bool:
    return isinstance(caught, ast.Name) and caught.id in ("Exception", "BaseException")


def test_the_borders_between_folders_hold() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--config", "pyproject.toml", "--no-cache"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    assert re.search(r"Contracts: [1-9]\d* kept, 0 broken", result.stdout)


def test_each_error_code_is_declared_once() -> None:
    codes: Counter[str] = Counter()
    for path in modules(*PRODUCT):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ClassDef):
                continue
            for statement in node.body:
                target = statement.targets[0] if isinstance(statement, ast.Assign) else None
                if isinstance(target, ast.Name) and target.id == "code" and isinstance(statement, ast.Assign):
                    codes[ast.literal_eval(statement.value)] += 1
    assert [code for code, count in codes.items() if count > 1] == []
    assert errors.NotJson.code in codes


def test_topics_are_named_in_one_file_only() -> None:
    names = [spec.name for spec in topics.STATIC_TOPICS]
    assert len(set(names)) == len(names)
    elsewhere = [
        f"{name_of(path)}:{node.lineno}"
        for path in modules(*PRODUCT)
        if path != ROOT / "contracts" / "topics.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in names
    ]
    assert elsewhere == []


def test_metrics_are_named_in_one_file_only_and_each_once() -> None:
    names = [spec.name for spec in METRICS]
    assert len(set(names)) == len(names)
    assert {spec.process for spec in METRICS} <= {*PROCESSES, "all"}
    for folder in PRODUCT:
        for path in modules(folder):
            if path == ROOT / "contracts" / "metrics.py":
                continue
            text = path.read_text()
            declared = re.findall(r"\b(?:Counter|Gauge|Histogram)\(\s*\"mk_", text)
            assert not declared, f"{name_of(path)} declares a metric of its own"


@pytest.mark.parametrize("folder", ["contracts", "ingest", "router", "store"])
def test_a_dataclass_field_with_payload_or_a_secret_is_not_in_its_repr(folder: str) -> None:
    shown = []
    for path in modules(folder):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ClassDef) or not any(
                "dataclass" in ast.unparse(one) for one in node.decorator_list
            ):
                continue
            for statement in node.body:
                if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                    kind = ast.unparse(statement.annotation)
                    sensitive = statement.target.id in PAYLOAD_FIELDS and kind in (
                        "bytes",
                        "str",
                        "bytes | None",
                        "str | None",
                    )
                    if sensitive and "repr=False" not in (
                        ast.unparse(statement.value) if statement.value else ""
                    ):
                        shown.append(f"{name_of(path)}:{statement.lineno} {statement.target.id}")
    assert shown == []


def test_only_settings_and_the_commands_start_read_the_environment() -> None:
    allowed = {"runtime/settings.py", "runtime/mkc.py", "store/migrate.py"}
    readers = {
        name_of(path)
        for path in modules("contracts", "ingest", "router", "runtime", "store")
        if re.search(r"\bos\.(environ|getenv)\b", path.read_text())
    }
    assert readers <= allowed


def test_no_unit_test_takes_the_place_of_a_real_server_with_a_mock() -> None:
    found = [
        name_of(path)
        for path in modules("tests")
        if re.search(r"^(from|import) unittest\.mock", path.read_text(), re.M)
    ]
    assert found == []
