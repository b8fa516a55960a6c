"""`mkc keys`: shows epochs and exports, asks the custodian to rotate or to export, and recovers a restored database.

All but `recover` only read and ask: keys are held by the custodian. Must never print a key or a wrap of one.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

from runtime.settings import load
from store.custody.database import SQL as CUSTODY
from store.custody.epochs.flip import epochs_of
from store.custody.epochs.recover import newest_export, recover
from store.custody.epochs.rewrap import still_named
from store.custody.epochs.sql import SQL, all_tenants
from store.custody.operating import Desk, at_desk, parser_for, say, say_json, say_table, with_json
from store.custody.settings import CustodianSettings
from store.custody.tenant_schema import migrate_tenants
from store.database import connected, translated
from store.migrate import migrate

_POLL_S = 0.1
WAITS = {
    "rewrap": "keys are being wrapped anew",
    "standby": "a standby has not replayed the re-wrap, or its state is hidden from mk_custodian",
    "archive": "the WAL archive does not hold the re-wrap yet",
    "export": "an export of the key tables made after the re-wrap",
}


def _parser() -> argparse.ArgumentParser:
    parser = parser_for(
        "keys",
        "Root epochs and exports of the key tables. An erased person's key is irrecoverable once the epoch that\n"
        "wrapped it is destroyed.",
        (
            "mkc keys status",
            "mkc keys rotate --timeout-s 120",
            "mkc keys destroy-due",
            "mkc keys recover   (with the custodian's settings, while it and the stores are down)",
        ),
    )
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="status|rotate|export|destroy-due|recover"
    )
    with_json(commands.add_parser("status", help="epochs, what the old ones wait for, exports"))
    for name, what in (
        ("rotate", "begin a root epoch now and wait until the old one is destroyed"),
        ("export", "export the key tables now and wait until the export was opened"),
        ("destroy-due", "wait until every old epoch is destroyed; says what it waits for if it is not"),
    ):
        command = with_json(commands.add_parser(name, help=what))
        command.add_argument("--timeout-s", type=float, metavar="SECONDS", help="how long to wait")
    again = with_json(commands.add_parser("recover", help="give a restored database its keys from an export"))
    again.add_argument("--export", type=Path, metavar="FILE", help="the export (default: the newest)")
    return parser


def main(arguments: list[str]) -> int:
    """`mkc keys …`; the exit code."""
    options = _parser().parse_args(arguments)
    if options.command == "recover":
        return asyncio.run(_recover(options))
    return at_desk(lambda desk: _run(desk, options))


async def _run(desk: Desk, options: argparse.Namespace) -> int:
    if options.command == "status":
        return await _status(desk, options)
    timeout_s = desk.settings.timeout_s if options.timeout_s is None else options.timeout_s
    if options.command == "destroy-due":
        return await _destroy_due(desk, options, timeout_s)
    with translated():
        request = await desk.connection.fetchval(SQL["request"], options.command, desk.settings.name)
        await desk.connection.execute(CUSTODY["wake_custodian"])

    async def is_done() -> bool:
        with translated():
            return bool(await desk.connection.fetchval(SQL["request_ended"], request))

    if await _wait(is_done, timeout_s):
        return await _status(desk, options)
    await _status(desk, options)
    say("not done in time: the request stands and the custodian goes on with it")
    return 1


async def _destroy_due(desk: Desk, options: argparse.Namespace, timeout_s: float) -> int:
    with translated():
        await desk.connection.execute(CUSTODY["wake_custodian"])

    async def is_done() -> bool:
        with translated():
            return not await desk.connection.fetch(SQL["retiring_roots"])

    done = await _wait(is_done, timeout_s)
    await _status(desk, options)
    return 0 if done else 1


async def _wait(is_done: Any, timeout_s: float) -> bool:
    loop = asyncio.get_running_loop()
    until = loop.time() + timeout_s
    while not await is_done():
        if loop.time() >= until:
            return False
        await asyncio.sleep(_POLL_S)
    return True


async def _status(desk: Desk, options: argparse.Namespace) -> int:
    connection = desk.connection
    with translated():
        roots = [dict(row) for row in await connection.fetch(SQL["roots"])]
        exports = [dict(row) for row in await connection.fetch(SQL["exports"])]
        requests = [dict(row) for row in await connection.fetch(SQL["open_requests"])]
    left = 0
    if any(root["state"] == "retiring" for root in roots):
        for tenant in await all_tenants(connection):
            old = [epoch for epoch in await epochs_of(connection, tenant) if not epoch.is_current]
            left += any([await still_named(connection, tenant, epoch.epoch) for epoch in old])
    for root in roots:
        root["waits_for"] = WAITS.get(root["waits_for"] or "", root["waits_for"])
    if options.json:
        say_json({"epochs": roots, "exports": exports, "requests": requests, "tenants_left": left})
        return 0
    say_table(("epoch", "state", "created_at", "rewrapped_at", "destroyed_at", "waits_for"), roots)
    say(f"{left} tenants have keys of an old epoch; {len(exports)} exports")
    if exports:
        say_table(("name", "root_epoch", "begun_at", "bytes", "subjects", "cells_read"), exports[:3])
    return 0


async def _recover(options: argparse.Namespace) -> int:
    settings = load(CustodianSettings)
    provider = settings.provider()
    try:
        path = options.export or newest_export(settings.export_dirs)
        # What was restored may be older than this code: recovery goes on with it as it will be.
        await migrate(settings.database)
        async with connected(settings.database, "mkc") as connection:
            await migrate_tenants(connection)
            done = await recover(connection, provider, path)
    finally:
        await provider.close()
    if options.json:
        say_json(
            {
                "root_epoch": done.root_epoch,
                "tenants": done.tenants,
                "keys": done.subjects,
                "lost": done.lost,
            }
        )
    else:
        say(f"{done.subjects} keys of {done.tenants} tenants taken from {path.name}; {done.lost} are lost")
    return 0 if done.lost == 0 else 1
