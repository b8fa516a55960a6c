"""Erases one person of the demo as an operator would, follows the request to its receipt, and looks for what should be gone."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import asyncpg
from aiokafka import TopicPartition

from contracts.reader.erasures import KnownErasures
from contracts.reader.keys import KeyFolder, pinned
from contracts.reader.open import EventOpener
from contracts.reader.readings import Erased
from contracts.topics import tenant_events_topic
from deploy.local.demo.checks import WrongOutcome
from deploy.local.demo.play import DemoTenant, operate
from deploy.local.demo.samples import PEDRO_PSID
from deploy.local.demo.trace import Trace
from deploy.local.errors import LocalStackError
from deploy.local.processes import Service
from runtime.kafka.clients import consumer

RECEIPT: Final = "receipt.json"
_POLL_S: Final = 0.02
_READERS_SIGNERS: Final = ("router", "store", "erasure")


@dataclass(slots=True)
class Erasing:
    """What was seen of one person's erasure."""

    request: UUID
    states: list[tuple[str, float]] = field(default_factory=list)
    """Each state that was seen, with the seconds since it was asked for."""
    rows_before: int = 0
    rows_after: int = 0
    keys_left: int = 0
    read_as_erased: int = 0
    """Records on the tenant's topic that the contract's reader gives as *erased*."""
    verified: Any = None
    """What `mkc receipt verify --live` says of the receipt."""

    def counted(self, category: str) -> int:
        """What the receipt says was erased of a category."""
        erased = self.verified["receipt"]["erased"]
        return int(sum(one["count"] for one in erased if one["category"] == category))


async def erase(service: Service, dsn: str, tenant: DemoTenant) -> Erasing:
    """Erase the person who wrote to the tenant on Messenger. Raises WrongOutcome if it does not come to its end."""
    database = await asyncpg.connect(dsn)
    try:
        before = await _rows_by_subject(database, tenant)
        began = time.monotonic()
        seen = Erasing(await asyncio.to_thread(_ask, service, tenant))
        await _follow(database, seen, began)
        await _look_in_database(database, tenant, seen, before)
        seen.verified = await asyncio.to_thread(_verified, service, await _receipt(database, seen.request))
    finally:
        await database.close()
    await _read_topic(service, tenant, seen)
    return seen


async def await_taken_back(
    dsn: str, traces: Iterable[Trace], schemas: dict[str, str], timeout_s: float = 20
) -> None:
    """Wait until the messages that were taken back are no rows any more. Raises WrongOutcome."""
    deadline = time.monotonic() + timeout_s
    database = await asyncpg.connect(dsn)
    try:
        for event in [event for trace in traces if trace.sample.taken_back for event in trace.events]:
            query = f"SELECT EXISTS (SELECT FROM {schemas[event.tenant]}.message WHERE id::text = $1)"
            while await database.fetchval(query, event.event_id):
                if time.monotonic() > deadline:
                    raise WrongOutcome("a message that was taken back is still a row")
                await asyncio.sleep(_POLL_S)
    finally:
        await database.close()


def _ask(service: Service, tenant: DemoTenant) -> UUID:
    asked = operate(
        service, "erasure", "request", "--tenant", tenant.name, "--identifier", f"psid:{PEDRO_PSID}"
    )
    return UUID(asked["request"])


async def _rows_by_subject(database: Any, tenant: DemoTenant) -> dict[UUID, int]:
    # The schema's name comes from the cell's own table, never from outside.
    query = f"SELECT subject_id, count(*) AS rows FROM {tenant.schema}.message GROUP BY subject_id"
    return {row["subject_id"]: row["rows"] for row in await database.fetch(query)}


async def _follow(database: Any, seen: Erasing, began: float, timeout_s: float = 20) -> None:
    query = "SELECT state, told_state FROM mk.erasure_request WHERE request_id = $1"
    while True:
        row = await database.fetchrow(query, seen.request)
        took_s = time.monotonic() - began
        if row is not None and row["state"] not in [state for state, _ in seen.states]:
            seen.states.append((row["state"], took_s))
        if row is not None and row["state"] == row["told_state"] == "answered":
            return
        if took_s > timeout_s or (row is not None and row["state"] == "refused"):
            raise WrongOutcome(f"the erasure ended as {seen.states or 'nothing'}")
        await asyncio.sleep(_POLL_S)


async def _look_in_database(
    database: Any, tenant: DemoTenant, seen: Erasing, before: dict[UUID, int]
) -> None:
    steps = await database.fetch(
        f"SELECT subject_id, erased_through_gen FROM {tenant.schema}.erasure_step WHERE request_id = $1",
        seen.request,
    )
    subjects = [step["subject_id"] for step in steps]
    seen.rows_before = sum(before.get(subject, 0) for subject in subjects)
    seen.rows_after = await database.fetchval(
        f"SELECT count(*) FROM {tenant.schema}.message WHERE subject_id = ANY ($1)", subjects
    )
    seen.keys_left = await database.fetchval(
        f"SELECT count(*) FROM {tenant.schema}.subject WHERE subject_id = ANY ($1)"
        " AND (wrapped_dek IS NOT NULL OR rekey_from IS NOT NULL)",
        subjects,
    )


async def _receipt(database: Any, request: UUID) -> str:
    query = "SELECT receipt FROM mk.erasure_request WHERE request_id = $1"
    return str(await database.fetchval(query, request))


def _verified(service: Service, receipt: str) -> Any:
    """Verify it offline and look for the person with every key; a changed receipt must be refused."""
    file = service.run_dir / RECEIPT
    file.write_text(receipt)
    changed = file.with_suffix(".changed")
    changed.write_text(receipt.replace('"count":', '"count":1', 1))
    try:
        operate(service, "receipt", "verify", str(changed))
    except LocalStackError as error:
        if "receipt_changed" not in str(error):
            raise WrongOutcome(f"a changed receipt is refused as something else: {error}") from error
    else:
        raise WrongOutcome("a changed receipt is not refused")
    finally:
        changed.unlink()
    return operate(service, "receipt", "verify", str(file), "--live")


async def _read_topic(service: Service, tenant: DemoTenant, seen: Erasing) -> None:
    """Read the tenant's topic twice with the contract's reader: notices first, then what they cover."""
    public = service.keys / "public"
    signers = pinned({name: (public / f"{name}.pub").read_text().strip() for name in _READERS_SIGNERS})
    erased = KnownErasures()
    opener = EventOpener(
        KeyFolder(service.keys / "store" / "secrets"), signers, tenant=UUID(tenant.tenant), erased=erased
    )
    topic = tenant_events_topic(tenant.slot)
    records = await _records(service, topic)
    for _ in range(2):
        seen.read_as_erased = 0
        for record in records:
            reading = opener.open(
                topic, record.value, record.headers, record.timestamp / 1000, key=record.key
            )
            if isinstance(reading, Erased) and reading.request == seen.request:
                seen.read_as_erased += 1


async def _records(service: Service, topic: str) -> list[Any]:
    reader = consumer(service.endpoints.kafka, "demo-reader", group=None, tls=service.endpoints.kafka_tls())
    await reader.start()
    try:
        part = TopicPartition(topic, 0)
        reader.assign([part])
        at = (await reader.beginning_offsets([part]))[part]
        end = (await reader.end_offsets([part]))[part]
        reader.seek(part, at)
        records: list[Any] = []
        while await reader.position(part) < end:
            for found in (await reader.getmany(part, timeout_ms=200)).values():
                records += found
        return records
    finally:
        await reader.stop()


def check_erasing(seen: Erasing) -> None:
    """Everything about the person must be gone, and everybody must know. Raises WrongOutcome."""
    reached = [state for state, _ in seen.states]
    for holds, otherwise in (
        (reached[-1:] == ["answered"], f"the erasure ended as {reached}"),
        (seen.rows_before > 0, "the person to erase had no rows"),
        (seen.rows_after == 0, f"{seen.rows_after} rows of the erased person are left"),
        (seen.keys_left == 0, "the erased person has a key"),
        (seen.read_as_erased > 0, "the contract's reader does not read the person's events as erased"),
        (seen.verified["live"]["gone"], f"found again: {seen.verified['live']['found']}"),
        (seen.counted("messages") == seen.rows_before, "the receipt counts other rows than there were"),
    ):
        if not holds:
            raise WrongOutcome(f"erasing a person: {otherwise}")
