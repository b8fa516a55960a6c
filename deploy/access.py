"""`python -m deploy.access list|apply`: the permissions that an installation's processes need on Kafka.

`list` prints them as lines of JSON, for whatever tool sets the cluster up; `apply` adds them with an administrator's
certificate. Those of slots and grants are the custodian's work. Must never remove one: `mkc doctor` shows what is too much.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from contracts.access import static_permits
from contracts.errors import ServiceError
from runtime.kafka.acls import AclAdmin
from runtime.tls import TlsFiles, client_context


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.access", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="print them")
    apply = commands.add_parser("apply", help="add what is missing")
    apply.add_argument("--kafka", required=True, help="bootstrap servers")
    for name, what in (("ca", "the brokers' authority"), ("cert", "an administrator's"), ("key", "its key")):
        apply.add_argument(f"--{name}", required=True, type=Path, help=f"PEM file: {what}")
    options = parser.parse_args(arguments)
    if options.command == "list":
        for permit in sorted(static_permits()):
            sys.stdout.write(json.dumps(asdict(permit)) + "\n")
        return 0
    try:
        asyncio.run(_apply(options.kafka, TlsFiles(options.ca, options.cert, options.key)))
    except ServiceError as exc:
        sys.stderr.write(f"{exc.code}: {exc}\n")
        return 1
    return 0


async def _apply(bootstrap: str, files: TlsFiles) -> None:
    async with AclAdmin(bootstrap, client_context(files, "--cert")) as admin:
        await admin.add(static_permits())


if __name__ == "__main__":
    sys.exit(main())
