"""`mkc audit`: holds the audit log against its anchored checkpoints, and proves that an entry stands in it.

Reads only, but for `accept` (`store.audit.cli_accept`). Shows hashes, numbers and slugs; an entry has nothing else.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Final
from uuid import UUID

import orjson

from contracts import merkle
from contracts.control import ControlView
from contracts.errors import ServiceError
from runtime.kafka.control import ControlReader
from store.audit.anchored import Anchored, read_all
from store.audit.cli_accept import DESCRIPTION as ACCEPT_DESCRIPTION
from store.audit.cli_accept import accept_entries
from store.audit.examine import Examined, Finding, Row, Wrong, examine
from store.audit.log import SQL
from store.custody.operating import Desk, at_desk, parser_for, say, say_json, with_json
from store.custody.settings import load_control_signers
from store.database import translated

if TYPE_CHECKING:
    from store.database import Connection

_PAGE: Final = 10_000
_SHOWN: Final = 50
_WORDS: Final = {
    Wrong.EDITED: "was edited",
    Wrong.MOVED: "stands at another place ({by:+d})",
    Wrong.REMOVED: "was removed",
    Wrong.CUT: "was cut off the end",
    Wrong.INSERTED: "was inserted",
    Wrong.DIFFERENT: "is another tree than the signed one",
    Wrong.FORKED: "was anchored twice, differently",
    Wrong.UNANCHORED: "was placed over a minute ago and is anchored nowhere",
}


class NoSuchEntry(ServiceError):
    """No entry of that id is anchored."""

    code = "no_such_entry"


def _parser() -> argparse.ArgumentParser:
    parser = parser_for(
        "audit",
        "Hold the audit log in the database against the checkpoints anchored on Kafka: any entry that was edited,\n"
        "moved, removed, inserted or cut is found and named. Exit 1 if there is one.",
        (
            "mkc audit verify",
            "mkc audit verify --json",
            "mkc audit proof 0b6f8f0a-4a53-4c62-9f0e-0f8d8f1c9a11",
            "mkc audit accept",
        ),
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    with_json(commands.add_parser("verify", help="hold every entry against the anchored checkpoints"))
    proof = with_json(
        commands.add_parser("proof", help="that an entry stands in the tree (RFC 6962 audit path)")
    )
    proof.add_argument("entry", metavar="ENTRY", type=UUID, help="the entry's id")
    accepted = with_json(
        commands.add_parser(
            "accept",
            help="let erasure go on with entries that nothing signed vouches for",
            description=ACCEPT_DESCRIPTION,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    accepted.add_argument(
        "--root", metavar="ROOT", help="of exactly these entries; without it they are only shown"
    )
    return parser


def main(arguments: list[str]) -> int:
    """`mkc audit …`; 0 as anchored, 1 not."""
    options = _parser().parse_args(arguments)
    if options.command == "accept":
        return accept_entries(root=options.root, as_json=options.json)
    work = _verify if options.command == "verify" else _prove
    return at_desk(lambda desk: work(desk, options))


async def anchored(desk: Desk) -> Anchored:
    """The checkpoints whose signers control announces. Raises BrokerUnavailable."""
    settings = desk.settings
    pinned = load_control_signers(settings.control_signers_file, "MKC_OPERATOR_CONTROL_SIGNERS_FILE")
    view = ControlView(pinned)
    async with ControlReader(settings.kafka, "mkc-audit", view, tls=settings.kafka_tls):
        return await read_all(settings.kafka, view.signer, settings.kafka_tls)


async def read_rows(connection: Connection) -> list[Row]:
    """Every entry, in pages."""
    rows: list[Row] = []
    with translated():
        async with connection.transaction(readonly=True):
            async for row in connection.cursor(SQL["entries"], prefetch=_PAGE):
                rows.append(Row(row["id"], row["leaf"], row["entry"]))
    return rows


async def _verify(desk: Desk, options: argparse.Namespace) -> int:
    # Anchored first: an entry has its place before its checkpoint is signed, so none of these is missing yet.
    heads = await anchored(desk)
    rows = await read_rows(desk.connection)
    now_ms = int(time.time() * 1000)
    seen = examine(rows, heads.checkpoints, now_ms * 1000)
    emptied = heads.lost_its_beginning(now_ms)
    failed = emptied or bool(seen.findings)
    if options.json:
        say_json(
            {
                "verified": not failed,
                "entries": len(rows),
                "anchored": seen.anchored,
                "root": seen.root.hex(),
                "waiting": seen.waiting,
                "checkpoints": len(heads.checkpoints),
                "refused_checkpoints": heads.refused,
                "topic_lost_its_beginning": emptied,
                "findings": [asdict(finding) for finding in seen.findings],
            }
        )
        return int(failed)
    _say(seen, heads, len(rows), emptied=emptied)
    return int(failed)


def _say(seen: Examined, heads: Anchored, entries: int, *, emptied: bool) -> None:
    say(
        f"{entries} entries, {len(heads.checkpoints)} checkpoints; the anchored tree holds {seen.anchored}, root {seen.root.hex()}"
    )
    if seen.waiting:
        say(f"{seen.waiting} entries wait for a place: they are anchored within a second while erasure runs")
    if heads.refused:
        say(f"{heads.refused} records on the topic were signed by nobody who may: ignored")
    for finding in seen.findings[:_SHOWN]:
        say(_line(finding))
    if len(seen.findings) > _SHOWN:
        say(f"and {len(seen.findings) - _SHOWN} more; --json shows all")
    if emptied:
        say("the checkpoints topic has lost its beginning, and nothing on it was old enough to expire")
    say("NOT as it was anchored" if emptied or seen.findings else "as it was anchored")


def _line(finding: Finding) -> str:
    several = finding.first != finding.last
    span = f"entries {finding.first} to {finding.last}" if several else f"entry {finding.first}"
    words = _WORDS[finding.wrong].format(by=finding.by)
    rows = f" (row {finding.ids[0]}{f' to {finding.ids[1]}' if several else ''})" if finding.ids else ""
    return f"{span}: {words}{rows}"


async def _prove(desk: Desk, options: argparse.Namespace) -> int:
    heads = await anchored(desk)
    with translated():
        found = await desk.connection.fetchrow(SQL["entry_named"], f'"entry":"{options.entry}"')
    size = max((head.tree_size for head in heads.checkpoints), default=0)
    if found is None or found["leaf"] is None or found["leaf"] >= size:
        raise NoSuchEntry("no entry of that id is anchored")
    leaves = {
        leaf: bytes.fromhex(text)
        for head in heads.checkpoints
        for leaf, text in enumerate(head.leaves, head.first_leaf)
    }
    if len(leaves) != size:
        raise NoSuchEntry("the topic no longer holds every leaf before it")
    tree = [leaves[leaf] for leaf in range(size)]
    proof, root = merkle.inclusion_proof(found["leaf"], tree), merkle.root_of(tree)
    holds = merkle.verify_inclusion(merkle.leaf_hash(found["entry"]), found["leaf"], size, proof, root)
    document = {
        "entry": orjson.loads(found["entry"]),
        "leaf": found["leaf"],
        "tree_size": size,
        "root": root.hex(),
        "proof": [part.hex() for part in proof],
        "holds": holds,
    }
    if options.json:
        say_json(document)
        return int(not holds)
    for name, value in document.items():
        say(f"{name:<10} {value if not isinstance(value, list) else ' '.join(value)}")
    return int(not holds)
