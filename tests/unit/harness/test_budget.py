"""The budget run's own judgement: what is over budget, empty or failed does not pass."""

from pathlib import Path

import pytest

import tests.budget
from tests.budget import GROUPS, LANES, Group, Result, judge, machine_factor

REPORT = '<testsuites><testsuite tests="{tests}" failures="{failures}" errors="{errors}" skipped="{skipped}"/></testsuites>'


def judged(tmp_path: Path, exit_code: int, took_s: float = 1.0, **counts: int) -> Result:
    report = tmp_path / "report.xml"
    report.write_text(REPORT.format(**{"tests": 0, "failures": 0, "errors": 0, "skipped": 0, **counts}))
    result = Result(Group(("unit",), 90), took_s=took_s, allowed_s=90)
    judge(result, [(exit_code, report)])
    return result


def test_a_folder_that_passes_within_its_budget_has_no_problem(tmp_path: Path) -> None:
    result = judged(tmp_path, 0, tests=10, skipped=2)
    assert (result.passed, result.failed, result.skipped, result.problems) == (8, 0, 2, [])


@pytest.mark.parametrize(
    ("exit_code", "took_s", "counts", "problem"),
    [
        (1, 1.0, {"tests": 3, "failures": 1, "errors": 1}, "2 failed"),
        (2, 1.0, {}, "pytest ended with 2"),
        (0, 91.0, {"tests": 3}, "over budget by 1 s"),
        (5, 1.0, {}, "no test ran"),
        (0, 1.0, {}, "no test ran"),
    ],
)
def test_a_folder_with_a_problem_says_which(
    tmp_path: Path, exit_code: int, took_s: float, counts: dict[str, int], problem: str
) -> None:
    assert judged(tmp_path, exit_code, took_s, **counts).problems == [problem]


def test_a_run_without_a_report_is_a_problem(tmp_path: Path) -> None:
    result = Result(Group(("unit",), 90), took_s=1, allowed_s=90)
    judge(result, [(3, tmp_path / "none.xml")])
    assert result.problems == ["pytest ended with 3"]


def test_one_bad_run_of_two_spoils_the_group(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.xml", tmp_path / "bad.xml"
    good.write_text(REPORT.format(tests=4, failures=0, errors=0, skipped=0))
    bad.write_text(REPORT.format(tests=2, failures=1, errors=0, skipped=0))
    result = Result(Group(("integration",), 90), took_s=1, allowed_s=90)
    judge(result, [(0, good), (1, bad)])
    assert (result.passed, result.failed, result.problems) == (5, 1, ["1 failed"])


def test_what_runs_beside_the_rest_is_run_once() -> None:
    for group in GROUPS:
        selections = group.selections()
        assert all(f"--ignore={path}" in selections[0] for selection in selections[1:] for path in selection)
        assert all(Path(path).exists() for selection in selections[1:] for path in selection)


def test_budgets_never_shrink_and_leave_a_sixth_to_spare_of_a_quarter_of_an_hour() -> None:
    assert machine_factor() >= 1.0
    # No folder is near its own; each lane takes under 15 minutes.
    assert all(sum(group.seconds for group in lane) * 5 / 6 <= 15 * 60 for lane in LANES)


def test_every_folder_of_tests_is_run_once() -> None:
    folders = [folder for group in GROUPS for folder in group.folders]
    here = Path(tests.budget.__file__).parent
    assert sorted(folders) == sorted({path.relative_to(here).parts[0] for path in here.rglob("test_*.py")})
