"""`python -m tests.budget`: the whole suite in two lanes, each on a Kafka and a Postgres of its own; each folder within its budget.

Most tests wait for processes to start, die or come back: two lanes use two cores better than one. A folder over its time
budget fails the run, as does one with tests of which none ran. Budgets are for two cores like those they were set on, with
both lanes busy; a slower machine, measured first, gets proportionally more, a faster one not less.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from deploy.local.errors import LocalStackError
from deploy.local.processes import interrupted_by_signals
from deploy.local.stack import LocalStack
from tests.support.servers import PORT_VARIABLE, ROOT_VARIABLE, TAKEN_VARIABLE, free_port_bases

HERE: Final = Path(__file__).parent
REFERENCE_S: Final = 0.1
"""What `machine_factor`'s work takes on the cores that the budgets were set on."""
_HANGS_AT: Final = 3
"""A folder that takes this many times its budget is ended: something in it waits for ever."""
_SHOWN_AFTER_S: Final = 60
_NO_TESTS: Final = 5
_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Group:
    """Folders of `tests/` that share a budget of `seconds`."""

    folders: tuple[str, ...]
    seconds: int
    beside: tuple[str, ...] = ()
    """Files and folders of these that use none of the run's servers: run at the same time, by a second pytest."""

    @property
    def name(self) -> str:
        """As in the table."""
        return " + ".join(self.folders)

    def selections(self) -> list[list[str]]:
        """What each pytest of this group is given: none where no folder holds tests."""
        folders = [str(HERE / folder) for folder in self.folders if any((HERE / folder).rglob("test_*.py"))]
        beside = [str(HERE / path) for path in self.beside]
        if not folders:
            return []
        rest = [*folders, *(f"--ignore={path}" for path in beside)]
        return [rest, beside] if beside else [rest]


LANES: Final = (
    (
        Group(("unit", "property", "architecture", "contract"), 180, beside=("contract",)),
        Group(
            ("integration",),
            340,
            beside=(
                "integration/test_local_stack.py",
                "integration/ingest/test_wire.py",
                "integration/ingest/test_wire_callbacks.py",
                "integration/ingest/test_wire_limits.py",
            ),
        ),
        Group(("e2e",), 170),
    ),
    (
        Group(("fault",), 320),
        Group(("privacy",), 270),
        Group(("security",), 160),
    ),
)
"""What runs at the same time. The groups of a lane follow each other on its servers."""
GROUPS: Final = tuple(group for lane in LANES for group in lane)


@dataclass(slots=True)
class Result:
    """What a group's run gave."""

    group: Group
    took_s: float = 0.0
    allowed_s: float = 0.0
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    problems: list[str] = field(default_factory=list)

    def row(self) -> str:
        """One line of the table."""
        verdict = "ok" if not self.problems else "; ".join(self.problems)
        counts = f"{self.passed:>6} {self.failed:>6} {self.skipped:>7}"
        return f"{self.group.name:<32} {self.took_s:>7.1f} {self.allowed_s:>7.0f} {counts}  {verdict}"


def machine_factor() -> float:
    """How many times longer this machine takes than the one of the budgets, at least 1: the best of five tries."""
    best = min(_work() for _ in range(5))
    return max(1.0, best / REFERENCE_S)


def _work() -> float:
    started = time.perf_counter()
    digest = b""
    for number in range(200_000):
        digest = hashlib.sha256(digest + number.to_bytes(4)).digest()
    return time.perf_counter() - started


def judge(result: Result, runs: Sequence[tuple[int, Path]]) -> None:
    """Fill in what the reports of a group's runs say (exit code and report of each), and everything that is wrong."""
    for _, report in runs:
        if report.is_file():
            for suite in ElementTree.parse(report).getroot().iter("testsuite"):
                total, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
                failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
                result.passed += max(0, total - failed - skipped)
                result.failed += failed
                result.skipped += skipped
    codes = [code for code, _ in runs if code not in (0, _NO_TESTS)]
    if result.failed or codes:
        result.problems.append(
            f"{result.failed} failed" if result.failed else f"pytest ended with {codes[0]}"
        )
    elif not result.passed and not result.skipped:
        result.problems.append("no test ran")
    if result.took_s > result.allowed_s:
        result.problems.append(f"over budget by {result.took_s - result.allowed_s:.0f} s")


class Lane:
    """Groups one after the other on servers of their own. `run` belongs to a thread; `end` may be called by any."""

    def __init__(self, groups: Sequence[Group], base: int, factor: float, extra: Sequence[str]) -> None:
        self._groups = groups
        self._base = base
        self._factor = factor
        self._extra = extra
        self._ended = threading.Event()

    def end(self) -> None:
        """End the pytest that runs, and begin no other."""
        self._ended.set()

    def run(self, root: Path) -> list[Result]:
        """The groups' results, of those that were begun. Raises LocalStackError."""
        root = root / f"lane-{self._base}"
        root.mkdir(mode=0o755)
        results = []
        with LocalStack(root, port_base=self._base, profile="test", secure=True) as stack:
            for group in self._groups:
                if not self._ended.is_set():
                    results.append(self._run_group(group, root, stack))
        return results

    def _run_group(self, group: Group, root: Path, stack: LocalStack) -> Result:
        # The tests kill servers that are this process's children: it buries them.
        result = Result(group, allowed_s=group.seconds * self._factor)
        selections = group.selections()
        if not selections:
            return result
        stack.start()
        environment = {**os.environ, ROOT_VARIABLE: str(root), PORT_VARIABLE: str(self._base)}
        # Else every pytest compiles everything anew, and CPython 3.11 sometimes crashes when it collects garbage meanwhile.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        runs: list[tuple[subprocess.Popen[bytes], Path]] = []
        said = [root / f"{group.folders[0]}-{number}.txt" for number in range(len(selections))]
        started = time.monotonic()
        try:
            for selection, output in zip(selections, said, strict=True):
                report = output.with_suffix(".xml")
                runs.append((_pytest(selection, report, output, self._extra, environment), report))
            while _running(runs) and time.monotonic() - started < result.allowed_s * _HANGS_AT:
                if self._ended.wait(_POLL_S):
                    break
                for node in (stack.kafka, stack.postgres):
                    node.reap()
            if _running(runs) and not self._ended.is_set():
                result.problems.append("hung and was ended")
        finally:
            codes = [_end(process) if process.poll() is None else process.returncode for process, _ in runs]
        result.took_s = time.monotonic() - started
        judge(result, [(code, report) for code, (_, report) in zip(codes, runs, strict=True)])
        text = "".join(output.read_text(errors="replace") for output in said)
        print(f"\n── {group.name} ──\n{text}", flush=True)
        return result


def _running(runs: Sequence[tuple[subprocess.Popen[bytes], Path]]) -> bool:
    return any(process.poll() is None for process, _ in runs)


def _pytest(
    selection: Sequence[str], report: Path, output: Path, extra: Sequence[str], environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    # A test that hangs shows where, long before its folder is ended.
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        "-o",
        f"faulthandler_timeout={_SHOWN_AFTER_S}",
        f"--junitxml={report}",
    ]
    command = [sys.executable, "-m", "pytest", *selection, *options, *extra]
    # Shown when the group has ended: two lanes in one stream are unreadable.
    with output.open("wb") as said:
        return subprocess.Popen(
            command,
            cwd=HERE.parent,
            env=environment,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _end(process: subprocess.Popen[bytes]) -> int:
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        os.killpg(process.pid, signum)
        try:
            return process.wait(20)
        except subprocess.TimeoutExpired:
            continue
    return process.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all groups; arguments go to pytest. 0 if every test passed within every budget."""
    extra = list(sys.argv[1:] if arguments is None else arguments)
    factor = machine_factor()
    print(f"machine factor {factor:.2f} (budgets are multiplied by it)")
    root = Path(tempfile.mkdtemp(prefix="mkchannels-test-"))
    root.chmod(0o755)
    began = time.monotonic()
    bases = free_port_bases(len(LANES))
    os.environ[TAKEN_VARIABLE] = ",".join(map(str, bases))
    lanes = [Lane(groups, base, factor, extra) for groups, base in zip(LANES, bases, strict=True)]
    print("each folder is shown when it has ended; first after about two minutes", flush=True)
    try:
        with interrupted_by_signals(), ThreadPoolExecutor(len(lanes)) as pool:
            running = [pool.submit(lane.run, root) for lane in lanes]
            try:
                wait(running, return_when=FIRST_EXCEPTION)
            finally:
                # Where one lane has no servers, or somebody has had enough, the others need not go on.
                for lane in lanes:
                    lane.end()
            results = [result for one in running for result in one.result()]
    except LocalStackError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print(f"\n{'folders':<32} {'took':>7} {'budget':>7} {'passed':>6} {'failed':>6} {'skipped':>7}")
    for result in results:
        print(result.row())
    allowed_s = max(sum(group.seconds for group in lane) for lane in LANES) * factor
    print(f"{'all':<32} {time.monotonic() - began:>7.1f} {allowed_s:>7.0f}")
    passed, failed, skipped = (
        sum(getattr(result, name) for result in results) for name in ("passed", "failed", "skipped")
    )
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if any(result.problems for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
