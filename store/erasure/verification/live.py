"""Looks for what a receipt says is gone: keys and rows in the database, records on the tenant's topic, samples taken before.

Says what it looked at and what only time will remove. It takes every key that there is, and still must find nothing to
read. Must never show a payload, a pseudonym or an identifier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from contracts.fences import Fence, kept
from contracts.receipt_words import Method
from contracts.receipts import ErasureReceipt
from store.database import connected, translated, with_names
from store.erasure.verification.live_topic import read_topic
from store.erasure.verification.samples import SQL, Sample, opened, opening_keys
from store.keys.settings import provider_from
from store.lanes.event import KEPT_UNDER_TOMBSTONE
from store.lanes.queries import check_schema
from store.settings import ReaderSettings

if TYPE_CHECKING:
    from store.database import Connection

_DEAD_EPOCHS: Final = (
    "an old copy of the wrapped key, in WAL and backups: tenant epoch {epoch} under root epoch {root}"
)


@dataclass(slots=True)
class Looked:
    """What was looked at (`seen`: words and numbers), what should not have been found, and what waits for its expiry."""

    seen: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)

    def expect_none(self, what: str, count: int) -> None:
        """`count` of `what` should be 0."""
        (self.found if count else self.seen).append(f"{what}: {count}")


@dataclass(frozen=True, slots=True)
class _Where:
    tenant: UUID
    schema: str
    slot: str | None
    partitions: int


async def look(
    raw: bytes, receipt: ErasureReceipt, settings: ReaderSettings, samples: Sequence[Sample]
) -> Looked:
    """Everything. `raw`: the receipt's bytes. Raises DatabaseUnavailable, BrokerUnavailable or KeyServiceUnavailable."""
    looked = Looked()
    today = datetime.now().astimezone().date()
    async with connected(settings.database.get_secret_value(), "mkc-receipt") as connection:
        with translated():
            row = await connection.fetchrow(SQL["request"], receipt.protocol)
        if row is None:
            looked.found.append("the database knows no request of that protocol number")
            return looked
        if (row["receipt"] or "").encode() != raw.strip():
            looked.found.append("the database holds another receipt for that protocol number")
        where = await _find(connection, row["tenant_id"])
        if where is None:
            looked.seen.append("no tenant in this database")
            return looked
        fences = await _look_in_schema(connection, where, receipt, looked)
        await _try_samples(connection, where, settings, samples, looked)
        people = {one for fence in fences for one in fence.pseudonyms}
    if where.slot is not None and people:
        executed_us = min(fence.executed_at_us for fence in fences)
        on_topic = await read_topic(settings, where.tenant, where.slot, where.partitions, people, executed_us)
        looked.seen.append(
            f"records of the person on the tenant's topic that read as erased: {on_topic.erased}"
        )
        looked.seen.append(f"records of the person on the tenant's topic that no key opens: {on_topic.dark}")
        looked.expect_none("records of the person on the tenant's topic that still read", on_topic.still)
        if on_topic.erased:
            looked.waits.append(
                f"{on_topic.erased} sealed records on the tenant's topic: until their transport key ends"
            )
    looked.waits += [
        f"{one.system}: {'until ' if one.on > today else 'since '}{one.on}"
        for one in receipt.removals
        if one.method is Method.EXPIRES_ON and isinstance(one.on, date)
    ]
    return looked


async def _find(connection: Connection, tenant: UUID | None) -> _Where | None:
    with translated():
        row = await connection.fetchrow(SQL["tenant"], tenant)
        slot = await connection.fetchrow(SQL["slot"], tenant)
    if row is None or tenant is None:
        return None
    schema = check_schema(row["schema_name"])
    return (
        _Where(tenant, schema, slot["slot"], slot["partitions"]) if slot else _Where(tenant, schema, None, 0)
    )


async def _look_in_schema(
    connection: Connection, where: _Where, receipt: ErasureReceipt, looked: Looked
) -> list[Fence]:
    def sql(name: str) -> str:
        return with_names(SQL[name], schema=where.schema)

    keys = rows = aliases = refs = tombstones = 0
    with translated():
        async with connection.transaction(readonly=True):
            await connection.execute(sql("enter"))
            steps = await connection.fetch(sql("steps"), receipt.protocol)
            fences = []
            for step in steps:
                if step["fence"] is None:
                    looked.found.append("a step without its fence")
                    continue
                fence = Fence.model_validate_json(kept(step["fence"])[1])
                fences.append(fence)
                if step["erased_through_gen"]:
                    left = await connection.fetchrow(
                        sql("left_of_subject"),
                        step["subject_id"],
                        step["erased_through_gen"],
                        [bytes.fromhex(one) for one in fence.pseudonyms],
                        step["watermark"],
                    )
                    assert left is not None
                    keys, rows, aliases = keys + left["keys"], rows + left["rows"], aliases + left["aliases"]
                named = [bytes.fromhex(one) for one in fence.refs]
                undated = [bytes.fromhex(one) for one in fence.undated]
                messages, written = ([], named) if fence.pseudonyms else (named, [])
                left = await connection.fetchrow(
                    sql("left_of_refs"), messages, undated, sorted(KEPT_UNDER_TOMBSTONE), written
                )
                assert left is not None
                refs, tombstones = refs + left["rows"], tombstones + left["tombstones"]
            executed = None if receipt.executed_at_ms is None else receipt.executed_at_ms / 1000
            old = await connection.fetch(
                sql("old_epochs"), datetime.fromtimestamp(executed or 0).astimezone()
            )
    if len(steps) != len(receipt.subjects):
        looked.found.append(f"the receipt names {len(receipt.subjects)} subjects, the database {len(steps)}")
    looked.expect_none("keys of erased generations in the database", keys)
    looked.expect_none("rows of erased generations", rows)
    looked.expect_none("rows of erased messages", refs)
    looked.expect_none("identifiers that are not fenced", aliases)
    looked.expect_none("erased ids without a tombstone", tombstones)
    looked.waits += [_DEAD_EPOCHS.format(epoch=one["epoch"], root=one["root_epoch"]) for one in old]
    return fences


async def _try_samples(
    connection: Connection,
    where: _Where,
    settings: ReaderSettings,
    samples: Sequence[Sample],
    looked: Looked,
) -> None:
    if not samples:
        return
    provider = provider_from(settings, settings.secrets_dir)
    try:
        with translated():
            async with connection.transaction(readonly=True):
                await connection.execute(with_names(SQL["enter"], schema=where.schema))
                erased = await connection.fetch(with_names(SQL["erased_through"], schema=where.schema))
                keys = await opening_keys(connection, where.schema, where.tenant, provider)
    finally:
        await provider.close()
    through = {one["subject_id"]: one["erased_through_gen"] for one in erased}
    of_erased = [one for one in samples if one.generation <= through.get(one.subject, 0)]
    others = [one for one in samples if one.generation > through.get(one.subject, 0)]
    looked.seen.append(f"keys of people that exist, each tried on every sample: {len(keys)}")
    looked.seen.append(f"samples of erased people: {len(of_erased)}")
    looked.expect_none("samples of erased people that open", opened(of_erased, keys, where.tenant))
    # That the trial can succeed at all is shown by those of people who are still there.
    looked.seen.append(f"samples of others that open: {opened(others, keys, where.tenant)} of {len(others)}")
