"""`make run`: everything up, demo traffic through it, then one line per second until Ctrl-C. `--demo` checks and ends.

Starts what is ready to start as soon as its needs are there; whatever ends this process, nothing of it stays behind
(the stack's watchdog looks after the processes too, when it is killed).
"""

import argparse
import asyncio
import concurrent.futures
import contextlib
import os
import secrets
import signal
import sys
import time
from pathlib import Path
from typing import Final

from deploy.local.demo import show
from deploy.local.demo.checks import (
    WrongOutcome,
    check_not_read,
    check_nothing_personal,
    check_read_back,
    check_trace,
    texts_of,
)
from deploy.local.demo.erasing import await_taken_back, check_erasing, erase
from deploy.local.demo.play import DemoTenant, connect_all, post_all, read_back, shown_text, wait_balanced
from deploy.local.demo.samples import CLINIC, PEDRO, PERSONAL, TEXTS, samples
from deploy.local.demo.trace import Trace, Tracer
from deploy.local.errors import LocalStackError
from deploy.local.postgres_node import data_directory_at
from deploy.local.processes import BESIDE, STOP_ORDER, Ports, Service, interrupted_by_signals
from deploy.local.stack import DEFAULT_PORT_BASE, DEFAULT_ROOT, Endpoints, LocalStack

DATABASE: Final = "mkc"
_CLOCK_TICKS: Final = os.sysconf("SC_CLK_TCK")


def main(arguments: list[str] | None = None) -> int:
    """Run until told to stop, or once through; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.run", description=__doc__)
    parser.add_argument(
        "--demo", action="store_true", help="check every outcome, then stop; exit 1 at the first wrong one"
    )
    parser.add_argument(
        "--root", type=Path, default=DEFAULT_ROOT, help="folder of the state (default: .local)"
    )
    parser.add_argument("--port-base", type=int, default=None, help="default: MKC_PORT_BASE or 19090")
    options = parser.parse_args(arguments)
    try:
        with interrupted_by_signals():
            return _Run(options.root, options.port_base, check=options.demo).run()
    except (LocalStackError, WrongOutcome) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


class _Run:
    """One run: what is up so far, so that whatever happens it is stopped in order."""

    def __init__(self, root: Path, port_base: int | None, *, check: bool) -> None:
        self._check = check
        self._servers_up = False
        self._stack = LocalStack(root, port_base=port_base)
        base = port_base or int(os.environ.get("MKC_PORT_BASE") or DEFAULT_PORT_BASE)
        self._service = Service(root, self._stack.endpoints, Ports.from_base(base), database=DATABASE)
        self._dsn = self._stack.dsn(DATABASE)

    def run(self) -> int:
        """Everything from start to stop; the exit status."""
        try:
            self._start()
            tenants = connect_all(self._service, self._dsn)
            show.step("tenants and accounts connected", seconds_since_start())
            asyncio.run(self._play(tenants))
            self._service.start(BESIDE)
            if not self._check:
                show.addresses(self._service, self._dsn)
                self._follow()
            return 0
        except KeyboardInterrupt:
            show.console.print("\ndraining …")
            return 0 if not self._check else 130
        finally:
            self._stop()

    def _start(self) -> None:
        began = time.monotonic()
        self._service.claim()
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            servers = pool.submit(self._stack.start)
            keys = pool.submit(self._service.prepare_keys)
            database = pool.submit(self._prepare_database, servers)
            servers.result()
            self._servers_up = True
            topics = pool.submit(self._service.prepare_topics)
            for part in (keys, database, topics):
                part.result()
        show.step("Kafka and PostgreSQL, topics, schema", time.monotonic() - began)
        began = time.monotonic()
        self._service.settle()
        self._service.start()
        show.step("ingest, router, store, erasure, custodian ready", time.monotonic() - began)

    def _prepare_database(self, servers: "concurrent.futures.Future[Endpoints]") -> None:
        # Postgres answers long before Kafka does.
        while not servers.done() and data_directory_at(self._stack.endpoints.postgres, 0.5) is None:
            time.sleep(0.05)
        if servers.done():
            servers.result()
        self._service.prepare_database()

    async def _play(self, tenants: dict[str, DemoTenant]) -> None:
        posted = samples(int(time.time() * 1000), secrets.token_hex(6))
        names = {one.tenant: one.name for one in tenants.values()}
        schemas = {one.tenant: one.schema for one in tenants.values()}
        slots = [one.slot for one in tenants.values()]
        kafka, tls = self._service.endpoints.kafka, self._service.endpoints.kafka_tls()
        async with Tracer.open(kafka, self._dsn, schemas, slots, tls) as tracer:
            first = await post_all(self._service, tracer, posted[:1])
            await tracer.settle(first, 30)
            show.step("first webhook is a row, since the start of this command", seconds_since_start())
            traces = first + await post_all(self._service, tracer, posted[1:])
            await tracer.settle(traces, 30)
            await await_taken_back(self._dsn, traces, schemas)
        plain = await asyncio.to_thread(read_back, self._service, list(tenants))
        show.outcomes(traces, {key: shown_text(text) for key, text in plain.items()}, names)
        if self._check:
            await asyncio.to_thread(self._check_traces, traces, plain, names)
        erased = await erase(self._service, self._dsn, tenants[CLINIC])
        check_erasing(erased)
        show.erasing(erased, PEDRO)
        if self._check:
            await asyncio.to_thread(self._check_all)

    def _check_traces(self, traces: list[Trace], plain: dict[str, str], names: dict[str, str]) -> None:
        posted = [trace.sample for trace in traces]
        for trace in traces:
            check_trace(trace, names)
        check_read_back(traces, plain, texts_of((one for one in posted if not one.taken_back), TEXTS))
        check_not_read(plain, texts_of((one for one in posted if one.taken_back), TEXTS))

    def _check_all(self) -> None:
        wait_balanced(self._service)
        searched = check_nothing_personal(self._folders(), PERSONAL)
        show.console.print(
            f"[green]✓[/] every outcome as it should be, the ledger balances, nothing personal in {searched / 1e6:,.0f} MB"
        )

    def _folders(self) -> list[Path]:
        folders = [self._service.run_dir]
        with contextlib.suppress(LocalStackError):
            folders.append(self._stack.kafka.data_dir)
        with contextlib.suppress(LocalStackError):
            folders.append(self._stack.postgres.data_dir)
        return folders

    def _follow(self) -> None:
        show.console.print("\n[dim]Ctrl-C drains and stops everything[/]")
        nodes = {name: self._service.node(name) for name in STOP_ORDER}
        while True:
            line = show.follow_line(nodes)
            show.console.print(line, end="\r" if show.console.is_terminal else "\n")
            time.sleep(1)

    def _stop(self) -> None:
        # A second Ctrl-C must not leave half of it running.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        began = time.monotonic()
        try:
            self._service.stop()
        finally:
            self._stack.stop()
            self._service.release()
        if self._servers_up:
            show.step("stopped", time.monotonic() - began)


def seconds_since_start() -> float:
    """Since this process was made: imports count."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / _CLOCK_TICKS


if __name__ == "__main__":
    sys.exit(main())
