"""`mkc grant`: lets a downstream service read a tenant's topic, ends that, and lists who may.

The custodian does what the row says (permissions on Kafka, keys); these commands wait until it has. Must never touch
Kafka, or show a proof.
"""

from __future__ import annotations

import argparse
import asyncio
from base64 import b64decode
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg

from contracts.access import READER_NAME
from contracts.hybrid import HybridPublicKey
from contracts.topics import tenant_events_topic, tenant_keys_topic
from store.custody.cli_tenant import wait_until_ready
from store.custody.database import SQL
from store.custody.errors import GrantExists, GrantNotApplied, UnknownName
from store.custody.operating import Desk, at_desk, parser_for, say, say_json, say_table, with_json
from store.database import translated

_POLL_S = 0.05
_TEXT = 500


def _parser() -> argparse.ArgumentParser:
    parser = parser_for(
        "grant",
        "Let a downstream service read a tenant's events. It needs the tenant's recorded direction, and ends by itself.\n"
        "Revoking takes the permission away at once; what the service was given before, it may have kept.",
        (
            "mkc grant add acme --reader reader-crm --public-key crm.pub --given-to 'CRM Ltda' \\",
            "      --directed-by 'acme, legal' --proof DPA-2026-14 --until 2027-06-30",
            "mkc grant revoke 5f0c…",
            "mkc grant list --tenant acme --json",
        ),
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="add|revoke|list")
    add = with_json(commands.add_parser("add", help="record a grant and wait until it works"))
    add.add_argument("tenant", help="name or id")
    add.add_argument(
        "--reader", required=True, help="the service's name to Kafka: its certificate's CN (reader-…)"
    )
    add.add_argument(
        "--public-key",
        required=True,
        type=Path,
        metavar="FILE",
        help="base64 of its public key (1,216 bytes)",
    )
    add.add_argument(
        "--given-to", required=True, help="the company that runs the service; for the access report"
    )
    add.add_argument("--directed-by", required=True, help="who directed it on the tenant's side")
    add.add_argument("--proof", required=True, help="reference of the written authorisation")
    add.add_argument(
        "--until", required=True, metavar="DATE", help="last day (UTC), or a moment with its zone"
    )
    revoke = with_json(commands.add_parser("revoke", help="end a grant now, and wait until Kafka refuses it"))
    revoke.add_argument("grant", type=UUID, help="its id")
    listing = with_json(commands.add_parser("list", help="show all grants, ended ones too"))
    listing.add_argument("--tenant", help="only this one's: name or id")
    return parser


def main(arguments: list[str]) -> int:
    """`mkc grant …`; the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command == "add":
        if not READER_NAME.fullmatch(options.reader):
            parser.error("--reader: reader- and then lower-case letters, digits and dashes")
        for name in ("given_to", "directed_by", "proof"):
            if not 0 < len(getattr(options, name).strip()) <= _TEXT:
                parser.error(f"--{name.replace('_', '-')}: from 1 to {_TEXT} characters")
        try:
            options.until = _moment(options.until)
        except ValueError:
            parser.error("--until: a date, or a date and time with its zone, in the future")
        try:
            encoded = options.public_key.read_bytes()
            options.public_key = HybridPublicKey.from_bytes(b64decode(encoded.strip(), validate=True)).raw
        except (OSError, ValueError):
            parser.error("--public-key: not a file with the base64 of a public key of 1216 bytes")
    return at_desk(lambda desk: _run(desk, options))


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if len(text) == len("2026-01-31"):
        moment = moment.replace(hour=23, minute=59, second=59, tzinfo=UTC)
    if moment.tzinfo is None or moment <= datetime.now(UTC):
        raise ValueError("no zone, or past")
    return moment


async def _run(desk: Desk, options: argparse.Namespace) -> int:
    match options.command:
        case "add":
            return await _add(desk, options)
        case "revoke":
            return await _revoke(desk, options)
        case _:
            return await _list(desk, options)


async def _add(desk: Desk, options: argparse.Namespace) -> int:
    tenant = await desk.tenant(options.tenant)
    await wait_until_ready(desk, tenant)
    grant = uuid4()
    with translated():
        try:
            await desk.connection.execute(
                SQL["insert_grant"],
                grant,
                tenant,
                options.reader,
                options.public_key,
                options.given_to,
                options.directed_by,
                options.proof,
                desk.settings.name,
                options.until,
            )
        except asyncpg.UniqueViolationError as exc:
            raise GrantExists("that reader has an active grant for that tenant; revoke it first") from exc
        slot = (await desk.connection.fetchrow(SQL["slot_of_tenant"], tenant))["slot"]  # type: ignore[index]
    await _applied(desk, grant)
    told = {
        "grant": grant,
        "tenant": tenant,
        "reader": options.reader,
        "events_topic": tenant_events_topic(slot),
        "keys_topic": tenant_keys_topic(slot),
        "group_prefix": f"{options.reader}.",
    }
    if options.json:
        say_json(told)
    else:
        for name, value in told.items():
            say(f"{name.replace('_', ' '):<13} {value}")
    return 0


async def _revoke(desk: Desk, options: argparse.Namespace) -> int:
    with translated():
        if await desk.connection.fetchrow(SQL["grant_of"], options.grant) is None:
            raise UnknownName("no grant of that id; mkc grant list shows them")
        await desk.connection.execute(SQL["end_grant"], options.grant, desk.settings.name)
    await _applied(desk, options.grant)
    if options.json:
        say_json({"grant": options.grant, "state": "ended"})
    else:
        say(f"{options.grant} ended")
    return 0


async def _applied(desk: Desk, grant: UUID) -> None:
    """Wake the custodian and wait until it has done what the row says. Raises GrantNotApplied."""
    deadline = asyncio.get_running_loop().time() + desk.settings.timeout_s
    with translated():
        await desk.connection.execute(SQL["wake_custodian"])
    while True:
        with translated():
            row = await desk.connection.fetchrow(SQL["grant_of"], grant)
        if row is not None and row["applied"]:
            return
        if asyncio.get_running_loop().time() > deadline:
            raise GrantNotApplied(
                "the custodian did not do it in time; what was asked stands and is done when it runs: start it now"
            )
        await asyncio.sleep(_POLL_S)


async def _list(desk: Desk, options: argparse.Namespace) -> int:
    with translated():
        rows = [dict(row) for row in await desk.connection.fetch(SQL["list_grants"], options.tenant)]
    for row in rows:
        row["state"] = "ended" if row["ended_at"] else "active"
    if options.json:
        say_json(rows)
    else:
        columns = ("grant_id", "tenant", "reader", "state", "given_to", "since", "until", "ended_by", "keys")
        say_table(columns, rows)
    return 0
