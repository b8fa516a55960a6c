"""What is counted before an erasure is what its receipt counts after it: of a person, of one message, of an account."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from contracts.receipts import AuditRoot
from store.database import connected
from store.erasure.answers.receipts import make
from store.erasure.jobs import load_job
from store.erasure.operator.preview import Preview, count_account, count_message, count_person
from store.erasure.steps import ErasureStep
from store.lanes.reading import find_tenant
from tests.integration.store.cell import alias, event
from tests.privacy.erasure.executors.acting import Acting

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

GONE, STAYS = UUID(int=51), UUID(int=52)


async def preview(acting: Acting, kind: str, of: Any) -> Preview:
    """By the reading commands' rights."""
    async with connected(acting.keys.cell.dsn("mk_reader"), "test") as connection:
        tenant = await find_tenant(connection, str(acting.tenant.tenant))
        count: Any = {"subject": count_person, "message": count_message, "account": count_account}[kind]
        found: Preview = await count(connection, tenant, of)
        return found


async def receipt(acting: Acting, request: UUID, steps: list[ErasureStep]) -> dict[str, int]:
    """What it would say was erased."""
    async with acting.tools() as tools:
        job = await load_job(tools.connection, request)
    root = AuditRoot(tree_size=1, root="ab" * 32)
    made = make(job, steps, (), root, signer="0" * 16, issued_at=datetime.now(UTC))
    return {one.category.value: one.count for one in made.erased}


async def somebody(acting: Acting) -> None:
    """Ana by two names that were linked late, Bob, and nobody, in two accounts; one message with all that is said of it."""
    kinds = ("message.received", "message.edited", "message.unsent", "message.read")
    await acting.keys.cell.write(
        acting.tenant,
        *(event("ana", kind=kind, ref="m1", account=GONE) for kind in kinds),
        event("bob", kind="reaction.changed", ref="m1", account=GONE),
        event("ana-by-phone", account=GONE),
        event("ana", account=GONE, undated=True),
        event("bob", account=STAYS),
        event(account=GONE),
    )
    await acting.keys.cell.write(acting.tenant, event("ana-by-phone", "ana", account=GONE))


@pytest.mark.parametrize(
    ("kind", "counted"),
    [
        ("subject", {"messages": 7, "identifiers": 3, "keys": 2}),
        ("message", {"messages": 3}),
        ("account", {"messages": 9, "keys": 3}),
    ],
)
async def test_the_receipt_counts_what_was_counted_before(
    acting: Acting, kind: str, counted: dict[str, int]
) -> None:
    await somebody(acting)
    acting.said(GONE, "withdrawn")
    names = [alias("ana"), alias("ana-by-an-unknown-name")]
    of = {"subject": names, "message": alias("m1"), "account": GONE}[kind]
    before = await preview(acting, kind, of)
    assert before.tombstones == {"subject": 1, "message": 1, "account": 0}[kind]
    column = {"subject": "pseudonyms", "message": "message_ref", "account": "account_id"}[kind]
    asked_by = "operator" if kind == "subject" else "router"
    origin = {"subject": "operator", "message": "unsent", "account": "account_removed"}[kind]
    request = acting.job(kind, origin, asked_by=asked_by, **{column: of})
    after = await receipt(acting, request, await acting.execute(request))
    said = {
        "messages": before.rows_in_all,
        "identifiers": before.aliases + before.unknown,
        "keys": before.keys,
    }
    assert {name: count for name, count in said.items() if count} == after == counted
    assert (await preview(acting, kind, of)).rows_in_all == 0


def test_a_tenant_that_is_not_ready_yet_is_said_to_be_not_ready(acting: Acting, tmp_path: Path) -> None:
    world = acting.keys.world
    world.sql(
        "INSERT INTO mk.tenant (tenant_id, name, schema_name, partitions, state, requested_by)"
        " VALUES (gen_random_uuid(), 'soon', 't_notyethere', 1, 'requested', 'test')"
    )
    try:
        file = tmp_path / "list.csv"
        file.write_text("7219\n")
        person = ("--tenant", "soon", "--identifier", "psid:1")
        for arguments in (
            ("request", *person),
            ("preview", *person, "--purpose", "x"),
            ("import", str(file), "--tenant", "soon", "--date", "2024-11-20"),
        ):
            ended, output, errors = world.mkc_raw("erasure", *arguments)
            assert (ended, output) == (1, ""), arguments
            assert "the tenant is asked for and not made yet" in errors
    finally:
        world.sql("DELETE FROM mk.tenant WHERE name = 'soon'")
