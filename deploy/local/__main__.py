"""`python -m deploy.local`: the stack by hand, and the downloads behind it."""

import argparse
import shutil
import sys
import time
from pathlib import Path

from deploy.local import kafka_libs
from deploy.local.errors import LocalStackError
from deploy.local.kafka_archive import ensure_archive
from deploy.local.postgres_binaries import outside_folder
from deploy.local.stack import DEFAULT_CACHE, DEFAULT_ROOT, LocalStack


def main(arguments: list[str] | None = None) -> int:
    """Run one sub-command; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    parser.add_argument(
        "command",
        choices=["up", "down", "status", "prepare", "relock", "clean-data"],
        help="up: start and leave running. prepare: download and archive Kafka. relock: re-make the jar locks. "
        "clean-data: stop, then remove all data, keys and logs but not the downloads",
    )
    parser.add_argument(
        "--root", type=Path, default=DEFAULT_ROOT, help="folder of the state (default: .local)"
    )
    parser.add_argument(
        "--kafka-version", choices=kafka_libs.VERSIONS, help="default: MKC_KAFKA_VERSION or 4.4.0"
    )
    options = parser.parse_args(arguments)
    try:
        return _run(options.command, options.root, options.kafka_version)
    except LocalStackError as error:
        print(error, file=sys.stderr)
        return 1


def _run(command: str, root: Path, kafka_version: str | None) -> int:
    if command == "prepare":
        ensure_archive(DEFAULT_CACHE, kafka_version or kafka_libs.DEFAULT_VERSION)
        return 0
    if command == "relock":
        kafka_libs.relock(DEFAULT_CACHE)
        return 0
    stack = LocalStack(root, kafka_version=kafka_version, keep_running=True)
    if command == "up":
        started = time.monotonic()
        endpoints = stack.start()
        print(f"kafka     {endpoints.kafka}\npostgres  {endpoints.postgres}")
        print(f"ready in {time.monotonic() - started:.1f} s; stop with: python -m deploy.local down")
        return 0
    if command == "status":
        return _status(stack)
    stack.stop(force=True)
    if command == "clean-data":
        _remove_state(stack.root)
    return 0


def _status(stack: LocalStack) -> int:
    all_answer = True
    for node in (stack.kafka, stack.postgres):
        answering = node.answers()
        all_answer = all_answer and answering
        state = f"up, pid {node.pid}" if answering else "not answering" if node.is_running() else "down"
        print(f"{node.name:9} {state}; log {node.log_path}")
    return 0 if all_answer else 1


def _remove_state(root: Path) -> None:
    for name in ("kafka", "postgres", "postgres.new", "keys", "run", "tls", "logins"):
        shutil.rmtree(root / name, ignore_errors=True)
    shutil.rmtree(outside_folder(root), ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
