"""`mkc tenant`: asks the custodian for a tenant and lists them. Must never provision anything itself."""

from __future__ import annotations

import argparse
import asyncio
from uuid import UUID, uuid4

import asyncpg

from store.custody.database import SQL
from store.custody.errors import NameTaken, TenantNotReady
from store.custody.operating import Desk, at_desk, parser_for, say, say_json, say_table, with_json
from store.custody.slots import opaque_name
from store.database import translated

_POLL_S = 0.05


async def add_tenant(
    desk: Desk, name: str, *, partitions: int = 1, period: str = "month", retention_days: int = 365
) -> UUID:
    """Request a tenant and return its id once its tenant record is acknowledged on control.

    Raises NameTaken, or TenantNotReady after the settings' time-out: the request stands and the custodian will see it.
    """
    tenant = uuid4()
    with translated():
        try:
            await desk.connection.execute(
                SQL["request_tenant"],
                tenant,
                name,
                f"t_{opaque_name()}",
                partitions,
                period,
                retention_days,
                desk.settings.name,
            )
        except asyncpg.UniqueViolationError as exc:
            raise NameTaken("a tenant of that name exists; mkc tenant list shows it") from exc
        await desk.connection.execute(SQL["wake_custodian"])
    await wait_until_ready(desk, tenant)
    return tenant


async def wait_until_ready(desk: Desk, tenant: UUID) -> None:
    """Return once the tenant is ready. Raises TenantNotReady."""
    deadline = asyncio.get_running_loop().time() + desk.settings.timeout_s
    while True:
        with translated():
            state = await desk.connection.fetchval(SQL["tenant_state"], tenant)
        if state == "ready":
            return
        if state in ("paused", "leaving"):
            raise TenantNotReady("the tenant is paused or leaving")
        if asyncio.get_running_loop().time() > deadline:
            raise TenantNotReady("the tenant was not ready in time: is the custodian running?")
        await asyncio.sleep(_POLL_S)


def _parser() -> argparse.ArgumentParser:
    parser = parser_for(
        "tenant",
        "Add and list tenants. A tenant is one company: its own topic, keys, database schema and roles.",
        (
            "mkc tenant add acme",
            "mkc tenant add acme --partitions 8 --retention-days 180 --period week",
            "mkc tenant list --json",
        ),
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="add|list")
    add = with_json(commands.add_parser("add", help="request a tenant and wait until it is ready"))
    add.add_argument("name", help="its name, for people; unique")
    add.add_argument(
        "--partitions",
        type=int,
        choices=(1, 8),
        default=1,
        help="partitions of its topic, fixed for good: 8 only for a very large tenant (default 1)",
    )
    add.add_argument(
        "--retention-days", type=int, default=365, metavar="DAYS", help="how long rows are kept (default 365)"
    )
    add.add_argument(
        "--period",
        choices=("month", "week", "day"),
        default="month",
        help="length of a table partition (default month; shorter for large tenants)",
    )
    with_json(commands.add_parser("list", help="show all tenants and their state"))
    return parser


def main(arguments: list[str]) -> int:
    """`mkc tenant …`; the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command == "add":
        if not 1 <= options.retention_days <= 3660:
            parser.error("--retention-days: from 1 to 3660")
        if not options.name.strip() or len(options.name) > 200:
            parser.error("NAME: from 1 to 200 characters")
    return at_desk(lambda desk: _run(desk, options))


async def _run(desk: Desk, options: argparse.Namespace) -> int:
    if options.command == "list":
        with translated():
            rows = [dict(row) for row in await desk.connection.fetch(SQL["list_tenants"])]
        if options.json:
            say_json(rows)
        else:
            say_table(
                (
                    "name",
                    "tenant_id",
                    "state",
                    "partitions",
                    "period",
                    "retention_days",
                    "accounts",
                    "slot",
                    "schema_name",
                ),
                rows,
            )
        return 0
    tenant = await add_tenant(
        desk,
        options.name,
        partitions=options.partitions,
        period=options.period,
        retention_days=options.retention_days,
    )
    if options.json:
        say_json({"tenant": tenant, "name": options.name, "state": "ready"})
    else:
        say(str(tenant))
    return 0
