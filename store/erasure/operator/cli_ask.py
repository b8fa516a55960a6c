"""`mkc erasure request` and `import`: writes requests about people to the erasure consumer, acknowledged.

Must never print or log an identifier.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

from contracts.erasure_requests import Identifier, SubjectRequest
from contracts.errors import ContractViolation
from runtime.settings import load
from store.custody.asking import request_sender
from store.custody.database import SQL as CUSTODY
from store.custody.errors import AnotherRequest, TenantNotReady
from store.custody.operating import Desk, say, say_json
from store.database import statements, translated
from store.erasure.operator.dashboard_list import ListedKind, entries, requests_of
from store.erasure.operator.preview import pseudonym_key
from store.keys.settings import provider_from
from store.lanes.reading import connected, find_tenant
from store.settings import ReaderSettings

SQL: Final = statements(Path(__file__).with_name("operator.sql"))
LONGEST_FILE_BYTES: Final = 64 << 20


async def ask_for_person(
    desk: Desk, tenant: str, identifiers: Sequence[Identifier], repeat: UUID | None, as_json: bool
) -> int:
    """Raises UnknownName, TenantNotReady, AnotherRequest, BrokerUnavailable, TenantUnavailable."""
    now_ms = int(time.time() * 1000)
    known = await desk.tenant(tenant)
    with translated():
        row = await desk.connection.fetchrow(CUSTODY["tenant_named"], str(known))
    if row is None or row["state"] == "requested":
        raise TenantNotReady("the tenant is asked for and not made yet: does the custodian run?")
    if repeat is not None:
        with translated():
            taken = await desk.connection.fetchrow(SQL["asked_as"], repeat)
        if taken is not None and tuple(taken) != (known, "subject", "operator"):
            raise AnotherRequest(
                "a request of that id is not of that tenant, or not of a person; leave out --repeat"
            )
    request = SubjectRequest(
        request=repeat or uuid4(),
        received_at_ms=now_ms,
        tenant=known,
        identifiers=tuple(identifiers),
        reason="operator",
        asked_by=desk.settings.name[:128],
        requested_at_ms=now_ms,
    )
    # Said first: an attempt whose acknowledgement is lost can be repeated as the same request.
    if as_json:
        say_json({"request": request.request, "tenant": request.tenant})
    else:
        say(str(request.request))
    async with request_sender(desk.settings) as sender:
        await sender.send(request)
    return 0


async def ask_for_list(
    desk: Desk,
    tenant: str,
    file: Path,
    *,
    listed_on: date,
    kinds: Sequence[ListedKind],
    as_json: bool,
) -> int:
    """Raises ContractViolation for a list that cannot be read: then nothing of it was asked for."""
    ids = entries(_text_of(file))
    if not ids:
        raise ContractViolation("the list holds no id: is it the right file?")
    settings = load(ReaderSettings)
    async with connected(settings) as connection:
        known = await find_tenant(connection, tenant)
        provider = provider_from(settings, settings.secrets_dir)
        try:
            keyed = await pseudonym_key(connection, known, provider)
        finally:
            await provider.close()
    made = requests_of(
        ids,
        kinds,
        tenant=known.tenant,
        keyed=keyed,
        listed_on=listed_on,
        now_ms=int(time.time() * 1000),
        asked_by=desk.settings.name[:128],
    )
    async with request_sender(desk.settings) as sender:
        await sender.send(*made)
    if as_json:
        say_json({"tenant": known.tenant, "entries": len(ids), "requests": [one.request for one in made]})
    else:
        say(f"{len(ids)} entries, {len(made)} requests; mkc erasure status --tenant {known.name} shows them")
    return 0


def _text_of(file: Path) -> str:
    try:
        if file.stat().st_size > LONGEST_FILE_BYTES:
            raise ContractViolation("the list is longer than any of Meta's")
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ContractViolation("the list cannot be read") from exc
