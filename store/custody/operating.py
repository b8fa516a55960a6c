"""What the operator's commands share: their settings, their connections, and how they answer.

Must never print a secret, a proof or a DSN.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson

from runtime.kafka.clients import Producer
from runtime.settings import load
from store.custody.control import ControlPublisher
from store.custody.database import SQL
from store.custody.errors import UnknownName
from store.custody.settings import OperatorSettings, load_control_signers, load_signer, require_pinned
from store.database import connected, translated

if TYPE_CHECKING:
    from store.database import Connection


@dataclass(frozen=True, slots=True)
class Desk:
    """A command's settings and database connection."""

    settings: OperatorSettings
    connection: Connection

    @asynccontextmanager
    async def publisher(self) -> AsyncIterator[ControlPublisher]:
        """Signs control records as `operator`. Raises BrokerUnavailable or InvalidSettings."""
        settings = self.settings
        signer = load_signer("operator", settings.signing_key_file, "MKC_OPERATOR_SIGNING_KEY_FILE")
        name = "MKC_OPERATOR_CONTROL_SIGNERS_FILE"
        require_pinned(signer, load_control_signers(settings.control_signers_file, name), name)
        producer = Producer(settings.kafka, "mkc", tls=settings.kafka_tls)
        await producer.start()
        try:
            yield ControlPublisher(producer, signer)
        finally:
            await producer.stop()

    async def tenant(self, name: str) -> UUID:
        """A tenant's id by its name or id. Raises UnknownName."""
        with translated():
            row = await self.connection.fetchrow(SQL["tenant_named"], name)
        if row is None:
            raise UnknownName("no tenant of that name or id; mkc tenant list shows them")
        tenant: UUID = row["tenant_id"]
        return tenant


def at_desk(work: Callable[[Desk], Awaitable[int]]) -> int:
    """Run a command's work with a connection; its exit code."""

    async def connect_and_work() -> int:
        settings = load(OperatorSettings)
        async with connected(settings.database, "mkc") as connection:
            return await work(Desk(settings, connection))

    return asyncio.run(connect_and_work())


def parser_for(command: str, summary: str, examples: Sequence[str]) -> argparse.ArgumentParser:
    """A parser whose --help ends with examples."""
    return argparse.ArgumentParser(
        prog=f"mkc {command}",
        description=summary,
        epilog="examples:\n" + "\n".join(f"  {example}" for example in examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def with_json(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Adds --json."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    return parser


def say(text: str) -> None:
    """One line on standard output."""
    sys.stdout.write(text + "\n")


def say_json(value: Any) -> None:
    """JSON on standard output, on one line."""
    say(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=str).decode())


def say_table(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    """A plain table, columns as wide as their content."""
    texts = [["" if row[name] is None else str(row[name]) for name in columns] for row in rows]
    heads = [name.replace("_", " ") for name in columns]
    widths = [max(len(line[at]) for line in (heads, *texts)) for at in range(len(columns))]
    for line in (heads, *texts):
        say("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
