"""`mkc account`: connects a company's account with its consent, disconnects it, and lists accounts.

The change is committed first and then announced on control under the row's lock, signed as `operator`; killed between
the two, the custodian announces it. Must never put an administrator's id anywhere but as a keyed hash.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID, uuid4

import asyncpg
import orjson

from contracts.control import AccountRecord, IdKind, app_scoped_user_hash
from contracts.erasure_requests import AccountRequest, request_id
from contracts.errors import TransientError
from runtime.secrets import closing_all, secrets_from
from store.audit.log import AuditEntry, What, append
from store.custody.asking import request_sender
from store.custody.cli_tenant import wait_until_ready
from store.custody.control import announce_account
from store.custody.database import SQL
from store.custody.errors import AccountIdTaken, UnknownName
from store.custody.operating import Desk, at_desk, parser_for, say, say_json, say_table, with_json
from store.custody.withdrawals import withdraw
from store.database import translated

SCOPES: Final = ("messaging", "comments", "account")
NEEDED_ID: Final = {"messenger": IdKind.PAGE, "instagram": IdKind.INSTAGRAM, "whatsapp": IdKind.WABA}
ROUTING_KEY: Final = "routing"


@dataclass(frozen=True, slots=True)
class Connect:
    """An account to connect. `ids`: META.md section 5.2; `app_scoped_users`: (app, id) of its administrators."""

    tenant: str
    product: str
    ids: Sequence[tuple[IdKind, str]]
    consent_by: str = field(repr=False)
    proof: str = field(repr=False)
    label: str = ""
    scopes: Sequence[str] = SCOPES
    app_scoped_users: Sequence[tuple[str, str]] = field(default=(), repr=False)


async def connect(desk: Desk, wanted: Connect) -> AccountRecord:
    """Connect an account; returns once its tenant is ready and its control record is acknowledged.

    Raises AccountIdTaken if another connected account has one of its ids, UnknownName, TenantNotReady.
    """
    tenant = await desk.tenant(wanted.tenant)
    await wait_until_ready(desk, tenant)
    kept = secrets_from(desk.settings, "router", desk.settings.routing_secrets_dir)
    async with closing_all(kept):
        routing_key = await kept.put_secret_if_absent(ROUTING_KEY, os.urandom(32))
    ids = [(kind.value, value) for kind, value in wanted.ids]
    ids += [
        (IdKind.APP_SCOPED_USER.value, app_scoped_user_hash(routing_key, app, user))
        for app, user in wanted.app_scoped_users
    ]
    account = uuid4()
    async with desk.publisher() as publisher:
        await _insert(desk, tenant, account, wanted, sorted(set(ids)))
        return await announce_account(desk.connection, publisher, account)


async def _insert(
    desk: Desk, tenant: UUID, account: UUID, wanted: Connect, ids: Sequence[tuple[str, str]]
) -> None:
    connection = desk.connection
    with translated():
        try:
            async with connection.transaction():
                # One WABA holds several numbers, each an account; all are one business, so one tenant.
                for kind, value in ids:
                    if kind == IdKind.WABA:
                        await connection.execute(SQL["claim_waba"], value)
                        if await connection.fetchval(SQL["waba_of_another_tenant"], value, tenant):
                            raise AccountIdTaken("another tenant's connected account has this WABA")
                await connection.execute(
                    SQL["insert_account"],
                    account,
                    tenant,
                    wanted.product,
                    wanted.label,
                    desk.settings.name,
                )
                await connection.executemany(
                    SQL["insert_account_id"], [(account, kind, value) for kind, value in ids]
                )
                await connection.execute(
                    SQL["insert_consent"],
                    uuid4(),
                    account,
                    list(wanted.scopes),
                    wanted.consent_by,
                    wanted.proof,
                )
                entry = AuditEntry(What.ACCOUNT_CONNECTED, "operator", tenant=tenant, item=account)
                await append(connection, entry)
        except asyncpg.UniqueViolationError as exc:
            raise AccountIdTaken("another connected account has one of these ids") from exc


async def disconnect(desk: Desk, account: UUID) -> AccountRecord:
    """Withdraw an account's consent, disconnect it, and ask for the erasure of what it brought; idempotent.

    Returns once control and the erasure consumer's topic have it. The request goes first: killed after it, the custodian
    withdraws all the same. Where it cannot be written the consent is withdrawn, and then its error raised: repeat the
    command. Raises UnknownName.
    """
    with translated():
        row = await desk.connection.fetchrow(SQL["account_and_consent"], account)
        if row is None:
            raise UnknownName("no account of that id; mkc account list shows them")
        # Before the request: whoever asked is known when somebody approves it.
        await desk.connection.execute(SQL["disconnected_by"], account, desk.settings.name)
    unasked: TransientError | None = None
    try:
        async with request_sender(desk.settings) as sender:
            await sender.send(_request_of(row))
    except TransientError as exc:
        unasked = exc
    async with desk.publisher() as publisher:
        await withdraw(desk.connection, account, "operator")
        record = await announce_account(desk.connection, publisher, account)
    if unasked is not None:
        raise unasked
    return record


def _request_of(row: asyncpg.Record) -> AccountRequest:
    """One withdrawal, one request: its id comes from the consent."""
    return AccountRequest(
        request=request_id("account", row["proof_ref"]),
        received_at_ms=int(time.time() * 1000),
        tenant=row["tenant_id"],
        account=row["account_id"],
        cause=row["proof_ref"],
        reason="consent_withdrawn",
    )


def _parser() -> argparse.ArgumentParser:
    parser = parser_for(
        "account",
        "Connect and disconnect a tenant's accounts. Without an active consent nothing is processed.",
        (
            "mkc account connect acme --product messenger --page 1029 --consent-by 'M. Silva' --proof contract-17",
            "mkc account connect acme --product instagram --instagram 17841400000000001 --page 1029 \\",
            "    --consent-by 'M. Silva' --proof contract-17 --scopes messaging,comments",
            "mkc account connect acme --product whatsapp --waba 2949 --phone-number-id 1550 --phone-number-id 1551 \\",
            "    --app-scoped-user demo:7788 --consent-by 'M. Silva' --proof contract-17",
            "mkc account disconnect 4f6d…",
        ),
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="connect|disconnect|list")
    add = with_json(commands.add_parser("connect", help="connect an account; return when control has it"))
    add.add_argument("tenant", help="the tenant's name or id")
    add.add_argument("--product", required=True, choices=tuple(NEEDED_ID))
    add.add_argument("--page", action="append", default=[], metavar="ID", help="Facebook Page id")
    add.add_argument(
        "--instagram",
        action="append",
        default=[],
        metavar="ID",
        help="Instagram professional account id (with Instagram Login: `user_id`, not `id`)",
    )
    add.add_argument("--waba", action="append", default=[], metavar="ID", help="WhatsApp Business account id")
    add.add_argument(
        "--phone-number-id", action="append", default=[], metavar="ID", help="of the WABA; repeat it"
    )
    add.add_argument(
        "--app-scoped-user",
        action="append",
        default=[],
        metavar="APP:ID",
        help="the administrator who connected the app; kept as a keyed hash only",
    )
    add.add_argument("--consent-by", required=True, metavar="TEXT", help="who gave the consent")
    add.add_argument("--proof", required=True, metavar="TEXT", help="where the proof of it is")
    add.add_argument(
        "--scopes",
        default=",".join(SCOPES),
        help=f"what it covers, comma-separated (default {','.join(SCOPES)})",
    )
    add.add_argument("--label", default="", help="a name for people")
    remove = with_json(
        commands.add_parser(
            "disconnect", help="withdraw the consent, disconnect, have the account's data erased"
        )
    )
    remove.add_argument("account", type=UUID, help="the account's id")
    show = with_json(commands.add_parser("list", help="show accounts, their ids and consent"))
    show.add_argument("tenant", nargs="?", help="only this tenant's (name or id)")
    return parser


def main(arguments: list[str]) -> int:
    """`mkc account …`; the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command == "connect":
        wanted = _wanted(parser, options)
        return at_desk(lambda desk: _connect(desk, wanted, options.json))
    if options.command == "disconnect":
        return at_desk(lambda desk: _disconnect(desk, options.account, options.json))
    return at_desk(lambda desk: _list(desk, options.tenant, options.json))


def _wanted(parser: argparse.ArgumentParser, options: argparse.Namespace) -> Connect:
    given = {
        IdKind.PAGE: options.page,
        IdKind.INSTAGRAM: options.instagram,
        IdKind.WABA: options.waba,
        IdKind.PHONE_NUMBER: options.phone_number_id,
    }
    ids = [(kind, value) for kind, values in given.items() for value in values]
    if not all(value.isascii() and value.isdigit() and len(value) <= 32 for _, value in ids):
        parser.error("an id is not a number of at most 32 digits")
    needed = NEEDED_ID[options.product]
    if not given[needed]:
        parser.error(f"--product {options.product} needs --{needed.value}")
    if options.product == "whatsapp" and not options.phone_number_id:
        parser.error("--product whatsapp needs --phone-number-id")
    scopes = tuple(dict.fromkeys(scope.strip() for scope in options.scopes.split(",") if scope.strip()))
    if not scopes or not set(scopes) <= set(SCOPES):
        parser.error(f"--scopes: some of {','.join(SCOPES)}")
    users: list[tuple[str, str]] = []
    for text in options.app_scoped_user:
        app, _, user = text.partition(":")
        if not app or not user:
            parser.error("--app-scoped-user: APP:ID")
        users.append((app, user))
    if not options.consent_by.strip() or not options.proof.strip():
        parser.error("--consent-by and --proof may not be empty")
    return Connect(
        tenant=options.tenant,
        product=options.product,
        ids=ids,
        consent_by=options.consent_by,
        proof=options.proof,
        label=options.label,
        scopes=scopes,
        app_scoped_users=users,
    )


async def _connect(desk: Desk, wanted: Connect, as_json: bool) -> int:
    record = await connect(desk, wanted)
    if as_json:
        say_json({"account": record.account, "tenant": record.tenant, "state": record.state})
    else:
        say(str(record.account))
    return 0


async def _disconnect(desk: Desk, account: UUID, as_json: bool) -> int:
    record = await disconnect(desk, account)
    if as_json:
        say_json({"account": record.account, "tenant": record.tenant, "state": record.state})
    else:
        say(
            f"{record.account} disconnected; its consent is withdrawn, its data is to be erased (mkc erasure status)"
        )
    return 0


async def _list(desk: Desk, tenant: str | None, as_json: bool) -> int:
    if tenant is not None:
        await desk.tenant(tenant)
    with translated():
        rows = [
            {**row, "ids": orjson.loads(row["ids"])}
            for row in await desk.connection.fetch(SQL["list_accounts"], tenant)
        ]
    if as_json:
        say_json(rows)
        return 0
    for row in rows:
        row["scopes"] = ",".join(row["scopes"])
        row["ids"] = " ".join(
            f"{kind}={value if kind != IdKind.APP_SCOPED_USER else value[:8] + '…'}"
            for kind, value in row["ids"]
        )
    say_table(("account_id", "tenant", "product", "state", "consent", "scopes", "label", "ids"), rows)
    return 0
