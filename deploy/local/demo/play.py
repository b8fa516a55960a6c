"""Plays the demo: connects its tenants and accounts through `mkc`, posts its webhooks as Meta would, follows each one."""

import asyncio
import contextlib
import http.client
import io
import json
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from deploy.local.demo.checks import WrongOutcome
from deploy.local.demo.samples import ACCOUNTS, BAKERY, CLINIC, Sample
from deploy.local.demo.trace import Trace, Tracer
from deploy.local.errors import LocalStackError
from deploy.local.processes import Service
from ingest.cli_post import meta_headers
from runtime import mkc

PURPOSE: Final = "demonstration"
_WRONG_SECRET: Final = b"not the app's secret"
_mkc_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class DemoTenant:
    """A demo tenant as the database cell knows it."""

    name: str
    tenant: str
    schema: str
    slot: str


def operate(service: Service, *arguments: str) -> Any:
    """Run `mkc … --json` in this process with the local settings; what it printed, decoded.

    Raises LocalStackError with the command and its own words when it fails.
    """
    out, err = io.StringIO(), io.StringIO()
    # Settings and streams belong to the process: one command at a time.
    with _mkc_lock, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        os.environ["MKC_LOCAL_ENV"] = str(service.env_file)
        try:
            code = mkc.main([*arguments, "--json"])
        except SystemExit as exc:
            code = exc.code if isinstance(exc.code, int) else 1
    if code != 0:
        words = (err.getvalue() or out.getvalue()).strip()
        raise LocalStackError(f"mkc {' '.join(arguments)} failed with {code}: {words[:300]}")
    return decoded(out.getvalue())


def decoded(output: str) -> Any:
    """What a command printed with `--json`: one document, or one a line."""
    try:
        return json.loads(output or "null")
    except ValueError:
        return [json.loads(line) for line in output.splitlines() if line.strip()]


def connect_all(service: Service, dsn: str) -> dict[str, DemoTenant]:
    """The demo's tenants by name: those of an earlier run, or new ones with their accounts connected."""
    known = asyncio.run(_known(dsn))
    for name in (BAKERY, CLINIC):
        if name not in known:
            operate(service, "tenant", "add", name)
    known = asyncio.run(_known(dsn))
    connected = asyncio.run(_connected(dsn))
    for account in ACCOUNTS:
        if not set(account.ids.values()) <= connected:
            options = [part for name, value in account.ids.items() for part in (f"--{name}", value)]
            options += ["--product", account.product, "--label", account.label]
            options += ["--consent-by", "demo", "--proof", "made up for the demo"]
            operate(service, "account", "connect", account.tenant, *options)
    return {name: known[name] for name in (BAKERY, CLINIC)}


async def _known(dsn: str) -> dict[str, DemoTenant]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "SELECT name, tenant_id::text, schema_name, slot FROM mk.tenant JOIN mk.slot USING (tenant_id)"
            " WHERE tenant.state = 'ready'"
        )
    finally:
        await connection.close()
    return {row["name"]: DemoTenant(*row) for row in rows}


async def _connected(dsn: str) -> set[str]:
    connection = await asyncpg.connect(dsn)
    try:
        return {
            row["value"] for row in await connection.fetch("SELECT value FROM mk.account_id WHERE active")
        }
    finally:
        await connection.close()


async def post_all(service: Service, tracer: Tracer, samples: Sequence[Sample]) -> list[Trace]:
    """Post them one after the other, as Meta would, and follow each to its end."""
    traces: list[Trace] = []
    for sample in samples:
        if sample.takes_back:
            await tracer.settle(traces, 30)
        trace = Trace(sample)
        traces.append(trace)
        trace.status = await asyncio.to_thread(post, service, sample)
        if trace.status == 200:
            await tracer.next_raw(trace)
    return traces


def post(service: Service, sample: Sample) -> int:
    """Sign and post one sample; the status."""
    secret = _WRONG_SECRET if sample.wrong_secret else service.app_secret()
    connection = http.client.HTTPConnection("127.0.0.1", service.ports.receiver, timeout=10)
    try:
        path = service.receiver_url.partition(str(service.ports.receiver))[2]
        connection.request("POST", path, sample.body, dict(meta_headers(sample.body, secret)))
        return connection.getresponse().status
    finally:
        connection.close()


def read_back(service: Service, tenants: Sequence[str]) -> dict[str, str]:
    """Every message of these tenants by event id, decrypted through `mkc messages` (each read is logged)."""
    plain: dict[str, str] = {}
    for name in tenants:
        read = operate(service, "messages", name, "--purpose", PURPOSE)
        for message in read if isinstance(read, list) else read.get("messages", [read]):
            plain[str(message["id"])] = json.dumps(message, ensure_ascii=False)
    return plain


def shown_text(document: str) -> str:
    """The text within a message's JSON document, for the table; its type of content if it has none."""
    return str(_find(json.loads(document), "text") or "")


def _find(node: Any, name: str) -> Any:
    if isinstance(node, dict):
        if isinstance(node.get(name), str):
            return node[name]
        return next((found for value in node.values() if (found := _find(value, name))), None)
    if isinstance(node, list):
        return next((found for value in node if (found := _find(value, name))), None)
    return None


def wait_balanced(service: Service, timeout_s: float = 15) -> None:
    """Wait until `mkc ledger` says that it balances. Raises WrongOutcome if it does not in time."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            operate(service, "ledger")
            return
        except LocalStackError as error:
            if time.monotonic() > deadline:
                raise WrongOutcome(f"the ledger does not balance: {error}") from error
            time.sleep(0.5)
