"""`mkc erasure preview`: what an erasure would take, counted before it happens; on record as a read.

Of a person whom identifiers name, or of a request that waits: an account's, before a second person approves it. Must never
print an identifier or a pseudonym.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from contracts import topics
from contracts.erasure_requests import Identifier
from contracts.outcomes import State
from runtime.settings import load
from store.custody.errors import NothingToPreview, UnknownName
from store.custody.operating import Desk, say, say_json, say_table
from store.database import translated
from store.erasure.operator.preview import (
    SQL,
    Preview,
    count_account,
    count_message,
    count_person,
    count_records,
    named,
    pseudonym_key,
    tenant_topic,
)
from store.keys.settings import provider_from
from store.lanes.reading import Tenant, connected, find_tenant, recorded
from store.settings import ReaderSettings

if TYPE_CHECKING:
    from store.database import Connection

_OBJECT: Final = "preview of an erasure"
_WAITS: Final = (State.RECEIVED, State.IDENTITY_PENDING, State.DECIDED)


async def preview_person(
    desk: Desk, tenant: str, identifiers: Sequence[Identifier], purpose: str, as_json: bool
) -> int:
    """Raises NoSuchTenant, KeyNotYetKnown, DatabaseUnavailable or BrokerUnavailable."""
    settings = load(ReaderSettings)
    async with connected(settings) as connection:
        known = await find_tenant(connection, tenant)
        provider = provider_from(settings, settings.secrets_dir)
        try:
            async with recorded(connection, known, desk.settings.name, purpose, _OBJECT) as counter:
                asked = named(await pseudonym_key(connection, known, provider), identifiers)
                found = await count_person(connection, known, asked)
                counter.rows = found.rows_in_all
        finally:
            await provider.close()
    return await _show(desk, settings, known, found, as_json)


async def preview_request(desk: Desk, request: UUID, purpose: str, as_json: bool) -> int:
    """Raises UnknownName, NothingToPreview, DatabaseUnavailable or BrokerUnavailable."""
    settings = load(ReaderSettings)
    async with connected(settings) as connection:
        with translated():
            row = await connection.fetchrow(SQL["request"], request)
        if row is None:
            raise UnknownName("no request of that id; mkc erasure status shows them")
        if row["tenant_id"] is None:
            raise NothingToPreview("a callback takes nothing itself; look at the requests of its accounts")
        if row["state"] not in _WAITS or row["origin"] == "join":
            raise NothingToPreview(
                "the request is executed, or takes what two people have in common: see its status"
            )
        known = await find_tenant(connection, str(row["tenant_id"]))
        async with recorded(connection, known, desk.settings.name, purpose, _OBJECT) as counter:
            found = await _count(connection, known, dict(row))
            counter.rows = found.rows_in_all
    return await _show(desk, settings, known, found, as_json)


async def _count(connection: Connection, tenant: Tenant, row: dict[str, Any]) -> Preview:
    if row["kind"] == "account" and row["account_id"] is not None:
        return await count_account(connection, tenant, row["account_id"])
    if row["kind"] == "message" and row["message_ref"] is not None:
        return await count_message(connection, tenant, row["message_ref"])
    return await count_person(connection, tenant, row["pseudonyms"])


async def _show(desk: Desk, settings: ReaderSettings, tenant: Tenant, found: Preview, as_json: bool) -> int:
    records = {}
    topic = tenant_topic(found)
    if topic is not None:
        records[topic] = await count_records(settings.kafka, settings.kafka_tls, topic, tenant.tenant, found)
    operator = desk.settings
    records[topics.QUARANTINE_TENANT] = await count_records(
        operator.kafka, operator.kafka_tls, topics.QUARANTINE_TENANT, tenant.tenant, found
    )
    if as_json:
        say_json(_counted(found) | {"records": records})
        return 0
    for name, value in _counted(found).items():
        if name != "rows":
            say(f"{name.replace('_', ' '):<20} {value}")
    say_table(("table", "rows"), [{"table": name, "rows": rows} for name, rows in found.rows.items()])
    say_table(
        ("topic", "partition", "records"),
        [
            {"topic": name, "partition": partition, "records": count}
            for name, counts in records.items()
            for partition, count in counts.items()
            if count
        ],
    )
    say(
        "records are sealed: nothing removes them but their time; raw records name nobody and cannot be counted"
    )
    return 0


def _counted(found: Preview) -> dict[str, Any]:
    told = asdict(found)
    for name in ("names", "ref", "account", "slot", "records"):
        del told[name]
    return told | {"rows_in_all": found.rows_in_all}
