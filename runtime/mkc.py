"""`mkc`, the operator's command: dispatches only. Each sub-command is a module of the folder whose privileges it needs."""

from __future__ import annotations

import importlib
import logging
import os
import resource
import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from contracts.errors import InvalidSettings, ServiceError
from runtime.logging import frames_of

_NOT_TEXT: Final = frozenset({"Cc", "Cs"})
"""Unicode categories: what would steer a terminal that shows it, and what is no character (bytes that are not UTF-8)."""


@dataclass(frozen=True, slots=True)
class Command:
    """A sub-command: `module` has `main(arguments: list[str]) -> int` and its own settings and credentials."""

    module: str
    summary: str
    zones: Mapping[str, str] = field(default_factory=dict)
    """Other modules that `--zone NAME` asks for: what a zone may open is held only in its own folder."""

    def module_for(self, arguments: list[str]) -> str:
        """The module that these arguments ask for."""
        for position, argument in enumerate(arguments):
            name, found, value = argument.partition("=")
            if name == "--zone":
                zone = value if found else "".join(arguments[position + 1 : position + 2])
                return self.zones.get(zone, self.module)
        return self.module


COMMANDS: Final[dict[str, Command]] = {
    "tenant": Command("store.custody.cli_tenant", "add and list tenants"),
    "account": Command("store.custody.cli_account", "connect, disconnect and list accounts"),
    "grant": Command("store.custody.cli_grant", "let a service read a tenant's topic, and end that"),
    "messages": Command(
        "store.lanes.cli_messages", "read a tenant's messages, decrypted; the read is logged"
    ),
    "events": Command("store.lanes.cli_events", "show a tenant's events from its topic"),
    "erasure": Command(
        "store.erasure.operator.cli",
        "have people erased, import Meta's list, see what is waited for, count before",
    ),
    "keys": Command(
        "store.custody.cli_keys", "epochs and exports of storage keys: show, rotate, export, recover"
    ),
    "ledger": Command("store.custody.cli_ledger", "balance what came in against what became of it"),
    "quarantine": Command(
        "router.cli_quarantine",
        "list, show and replay what was set aside",
        {"tenant": "store.lanes.cli_quarantine"},
    ),
    "audit": Command(
        "store.audit.cli_audit", "hold the audit log against what was anchored outside the database"
    ),
    "receipt": Command(
        "store.erasure.operator.cli_receipt",
        "verify the receipt of an erasure, offline or against everything",
    ),
    "contract": Command(
        "contracts.generate.cli", "show what an event type promises, and what changed for its readers"
    ),
    "post": Command("ingest.cli_post", "sign bodies and post them as Meta does"),
    "proof": Command("ingest.cli_proof", "put an access token where erasures ask Meta to delete, too"),
    "doctor": Command(
        "store.custody.cli_doctor", "check versions, connections, topics and tables against the code"
    ),
}


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        (
            "usage: mkc COMMAND [OPTIONS]",
            "",
            "MKChannels ingest, the operator's command. Every COMMAND explains itself with --help",
            "and prints JSON with --json. Settings come from the environment (docs/settings.md).",
            "",
            *lines,
        )
    )


def _adopt_local_settings() -> bool:
    """Settings of the local stack, where the environment does not say otherwise; whether there is one here."""
    path = Path(os.environ.get("MKC_LOCAL_ENV", ".local/run/mkc.env"))
    if not path.is_file():
        return False
    for line in path.read_text().splitlines():
        name, found, value = line.partition("=")
        if found and name.startswith("MKC_"):
            os.environ.setdefault(name, value)
    return True


def main(arguments: list[str] | None = None) -> int:
    """Run a sub-command; exit codes: 0 done, 1 failed, 2 wrong usage or settings."""
    given = sys.argv[1:] if arguments is None else arguments
    # A command holds keys as the processes do: no core dump.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    local = _adopt_local_settings()
    # A library's own words would reach the terminal by logging's last resort; what failed is said below.
    logging.getLogger().addHandler(logging.NullHandler())
    if not given or given[0] in ("-h", "--help", "help"):
        sys.stdout.write(_usage() + "\n")
        return 0 if given else 2
    command = COMMANDS.get(given[0])
    if command is None:
        sys.stderr.write("mkc: no such command; mkc --help lists them\n")
        return 2
    if any(unicodedata.category(character) in _NOT_TEXT for argument in given for character in argument):
        sys.stderr.write(f"mkc {given[0]}: an argument holds a control character or is not UTF-8\n")
        return 2
    try:
        module = importlib.import_module(command.module_for(given[1:]))
        return int(module.main(given[1:]))
    except InvalidSettings as exc:
        sys.stderr.write(f"mkc {given[0]}: {exc}\n")
        if not local and str(exc).endswith("is missing"):
            sys.stderr.write(
                "Beside `make run`, call mkc in its folder; elsewhere set what docs/settings.md lists.\n"
            )
        return 2
    except ServiceError as exc:
        sys.stderr.write(f"mkc {given[0]}: {exc.code}: {exc}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0
    except Exception as exc:
        # Not its text: a library quotes what it was given, names and ids of persons too.
        sys.stderr.write(
            f"mkc {given[0]}: internal: {type(exc).__name__} at {' < '.join(reversed(frames_of(exc)))}\n"
        )
        return 1


if __name__ == "__main__":
    sys.exit(main())
