"""Real sessions of each database login, trying what it must not: tables, schemas, roles, files, other logins.

What may be read is written down here by hand, table by table: a table that is not in the list fails until somebody has
said who reads it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
import pytest

from store.lanes import database
from tests.security.conftest import Secured
from tests.support.bodies import encode, messenger
from tests.support.world import Tenant

LOGINS: Final = ("mk_custodian", "mk_store", "mk_erasure", "mk_reader", "mk_desk")
C, S, E, R, D = LOGINS
READERS: Final[dict[str, set[str]]] = {
    "access_record": {C, E, R},
    "account": {C, E},
    "account_id": {C, E},
    "audit_checkpoint": {E, R},
    "audit_entry": {C, E, R},
    "consent": {C},
    "erasure_code": {E},
    "erasure_position": {E},
    "erasure_told": {E},
    "erasure_request": {C, E, R},
    "fence_position": {E, S},
    "key_export": {C},
    "key_request": {C},
    "meta_deletion": {E},
    "migration": {C, S, E, R, D},
    "outcome_position": {E},
    "reader_grant": {C, E},
    "reader_grant_key": {C},
    "reader_notice": {E},
    "root_epoch": {C, S, E, R},
    "slot": {C, S, E, R},
    "tenant": {C, S, E, R},
    "tenant_migration": {C, S, E, R},
    "transport_key": {C, E},
}
"""Who may read anything of a table of `mk`. A new table: say who, and why it must."""
HIDDEN_COLUMNS: Final = {
    ("account_id", "active"): {S, E, R, D},
    ("tenant", "name"): {S, E, D},
    ("tenant", "requested_by"): {S, E, R, D},
}
"""Who must not read that column of a table that it may read otherwise."""
ROLES: Final = {S: "", E: "_erase", R: "_read"}
"""The suffix of the one role of a tenant's that a login may take."""
SUPERUSERS: Final = (
    "SELECT * FROM pg_authid",
    "SELECT * FROM pg_shadow",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT pg_ls_dir('.')",
    "SELECT pg_stat_file('PG_VERSION')",
    "SELECT lo_import('/etc/passwd')",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY (SELECT 1) TO '/tmp/mkc-border'",
    "CREATE TABLE public.mine (a integer)",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION public.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE EXTENSION plpython3u",
    "CREATE DATABASE mine",
    "ALTER SYSTEM SET log_statement = 'all'",
    "SET session_replication_role = 'replica'",
    "SET log_statement = 'all'",
    "SET SESSION AUTHORIZATION postgres",
    "SET ROLE postgres",
    "SET ROLE pg_read_all_data",
    "SET ROLE pg_execute_server_program",
    "SELECT pg_switch_wal()",
    "SELECT pg_logical_emit_message(true, 'a', 'b') FROM pg_create_logical_replication_slot('a', 'pgoutput')",
    "DROP OWNED BY mk_owner",
)
"""What is a superuser's."""
REFUSED: Final = (
    asyncpg.InsufficientPrivilegeError,
    asyncpg.UndefinedFileError,
    asyncpg.FeatureNotSupportedError,
)
"""A missing right; or the server's build has no such thing at all."""


@asynccontextmanager
async def session(secured: Secured, login: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(secured.world.service.login(login), timeout=60)
    try:
        yield connection
    finally:
        await connection.close()


async def may(connection: asyncpg.Connection[Any], *statements: str) -> bool:
    """Whether the last of them is allowed; nothing of it stays."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        for statement in statements:
            await connection.execute(statement)
    except REFUSED:
        return False
    finally:
        await transaction.rollback()
    return True


async def answer(connection: Any, *statements: str, timeout_s: float = 60) -> type[Exception] | None:
    """The class of what stopped one of them; None if nothing did. A transaction left open is left open."""
    try:
        for statement in statements:
            await connection.execute(statement, timeout=timeout_s)
    except (asyncpg.PostgresError, TimeoutError) as exc:
        return type(exc)
    return None


def tables(secured: Secured, schema: str) -> list[str]:
    """From the catalogue."""
    found = secured.world.sql(
        "SELECT relname FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')"
        " AND NOT relispartition ORDER BY relname",
        schema,
    )
    return [row["relname"] for row in found]


@pytest.fixture(scope="module")
def written(secured: Secured) -> Secured:
    """Both tenants have a row."""
    world = secured.world
    for tenant, page in ((secured.acme, "700300400500811"), (secured.rival, "700300400500812")):
        world.connect(tenant, "messenger", {"page": page})
        before = world.row_count(tenant)
        text = f"border of {tenant.name}"
        assert world.post(encode(messenger(f"m_border{tenant.name}{before}", text, page=page))) == 200
        world.wait_rows(tenant, before + 1)
    return secured


def test_the_list_names_every_table_of_the_catalogue(secured: Secured) -> None:
    found = {name for name in tables(secured, "mk") if not name.endswith("_id_seq")}
    assert found - set(READERS) == set(), "a new table: say in READERS who reads it"
    assert set(READERS) - found == set()
    schemas = secured.world.sql(
        "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema|t_[a-z0-9]+$)'"
    )
    assert {row["nspname"] for row in schemas} == {"mk", "public"}
    assert tables(secured, "public") == []


@pytest.mark.parametrize("login", LOGINS)
async def test_a_login_reads_what_is_written_down_and_nothing_else(secured: Secured, login: str) -> None:
    async with session(secured, login) as connection:
        for table, readers in READERS.items():
            told = await may(connection, f"SELECT count(*) FROM mk.{table}")
            assert told is (login in readers), table
        for (table, column), hidden in HIDDEN_COLUMNS.items():
            told = await may(connection, f"SELECT {column} FROM mk.{table}")
            assert told is (login not in hidden), column


@pytest.mark.parametrize("login", LOGINS)
async def test_a_login_reaches_no_table_of_a_tenant_without_a_role(written: Secured, login: str) -> None:
    async with session(written, login) as connection:
        for tenant in (written.acme, written.rival):
            names = await asyncio.to_thread(tables, written, tenant.schema)
            assert "message" in names
            for table in names:
                for statement in (
                    "SELECT count(*) FROM {}",
                    "DELETE FROM {}",
                    "TRUNCATE {}",
                    "DROP TABLE {}",
                ):
                    if statement.startswith("SELECT") or not table.endswith("_seq"):
                        assert not await may(connection, statement.format(f"{tenant.schema}.{table}")), table


@pytest.mark.parametrize("login", LOGINS)
async def test_a_login_takes_its_own_role_of_a_tenant_and_no_other(written: Secured, login: str) -> None:
    async with session(written, login) as connection:
        for tenant in (written.acme, written.rival):
            for suffix in ROLES.values():
                told = await may(connection, f'SET LOCAL ROLE "{tenant.schema}{suffix}"')
                assert told is (ROLES.get(login) == suffix), suffix
        assert await may(connection, "SET LOCAL ROLE mk_owner") is (login == "mk_custodian")
        for other in LOGINS:
            assert await may(connection, f"SET LOCAL ROLE {other}") is (other == login)


@pytest.mark.parametrize("login", ROLES)
async def test_under_one_tenants_role_no_table_of_another_and_none_of_mk_is_reached(
    written: Secured, login: str
) -> None:
    role = f'SET LOCAL ROLE "{written.acme.schema}{ROLES[login]}"'
    async with session(written, login) as connection:
        assert await may(connection, role, f"SELECT count(*) FROM {written.acme.schema}.message")
        for table in await asyncio.to_thread(tables, written, written.rival.schema):
            assert not await may(connection, role, f"SELECT count(*) FROM {written.rival.schema}.{table}")
        for table in READERS:
            assert not await may(connection, role, f"SELECT count(*) FROM mk.{table}"), table


async def test_only_erasures_role_deletes_and_nobody_takes_a_tenants_keys_away(written: Secured) -> None:
    schema = written.acme.schema
    deletes = {}
    for login, suffix in ROLES.items():
        async with session(written, login) as connection:
            role = f'SET LOCAL ROLE "{schema}{suffix}"'
            deletes[login] = await may(connection, role, f"DELETE FROM {schema}.message")
            for statement in (
                "DELETE FROM {}.epoch",
                "UPDATE {}.epoch SET wrapped_kek = ''",
                "TRUNCATE {}.message",
            ):
                assert not await may(connection, role, statement.format(schema)), statement
            assert not await may(connection, role, f"UPDATE {schema}.message SET body = ''")
            assert not await may(connection, role, f"UPDATE {schema}.pseudonym_key SET wrapped = ''")
    assert deletes == {"mk_store": False, "mk_erasure": True, "mk_reader": False}


@pytest.mark.parametrize("login", LOGINS)
async def test_no_login_does_what_is_a_superusers(secured: Secured, login: str) -> None:
    async with session(secured, login) as connection:
        for statement in SUPERUSERS:
            assert await answer(connection, statement) in REFUSED, statement


@pytest.mark.parametrize("login", LOGINS)
async def test_what_other_logins_ask_is_hidden(secured: Secured, login: str) -> None:
    async with session(secured, login) as connection:
        shown = await connection.fetch(
            "SELECT usename, query FROM pg_stat_activity WHERE usename <> current_user AND usename IS NOT NULL"
        )
        assert shown
        assert {row["query"] for row in shown} == {"<insufficient privilege>"}


async def test_a_pooled_connection_after_an_error_carries_no_role(written: Secured) -> None:
    schema = written.acme.schema

    failing = (
        "SELECT 1 / 0",
        "SELECT nothing",
        f"INSERT INTO {schema}.lane VALUES (NULL)",
        "SELECT pg_sleep(60)",
    )
    pool = await asyncpg.create_pool(
        written.world.service.login("mk_store"), min_size=1, max_size=1, timeout=60
    )
    async with pool:
        for broken in failing:
            async with pool.acquire() as connection:
                begin = ("BEGIN", f'SET LOCAL ROLE "{schema}"')
                assert await answer(connection, *begin) is None
                assert await answer(connection, broken, timeout_s=0.5 if "sleep" in broken else 60)
            async with pool.acquire() as connection:
                assert await connection.fetchval("SELECT current_user || session_user") == "mk_storemk_store"
                refused = await answer(connection, f"SELECT count(*) FROM {schema}.message")
                assert refused is asyncpg.InsufficientPrivilegeError


async def test_a_lanes_connection_after_an_error_carries_no_role(written: Secured) -> None:
    """As the store itself cleans it: whatever state an error left it in."""
    schema = written.acme.schema
    connection = await database.connect(written.world.service.login("mk_store"))
    try:
        for broken in ("SELECT 1 / 0", "SAVEPOINT tenant; SELECT nothing", "SELECT 1"):
            await answer(connection, "BEGIN", f'SET LOCAL ROLE "{schema}"', *broken.split("; "))
            assert connection.is_in_transaction()
            assert await database.make_clean(connection)
            assert await connection.fetchval("SELECT current_user") == "mk_store"
            assert not await may(connection, f"SELECT count(*) FROM {schema}.message")
    finally:
        await connection.close()


def test_a_tenants_rows_keys_and_epochs_copied_into_anothers_schema_open_nothing(written: Secured) -> None:
    """What a curious administrator of the database can do: every row, with the keys beside it."""
    world = written.world
    acme, rival = written.acme, written.rival
    assert "border of acme" in str(world.messages(acme))
    kept = world.sql(f"SELECT epoch, wrapped_kek FROM {rival.schema}.epoch")
    try:
        for table in ("subject", "message"):
            world.sql(f"INSERT INTO {rival.schema}.{table} SELECT * FROM {acme.schema}.{table}")
        shown = _what_is_shown(written, rival)
        assert "border of acme" not in shown
        # With acme's KEK beside them, too.
        world.sql(
            f"UPDATE {rival.schema}.epoch AS mine SET wrapped_kek = theirs.wrapped_kek, root_epoch = theirs.root_epoch"
            f" FROM {acme.schema}.epoch AS theirs WHERE theirs.epoch = mine.epoch"
        )
        shown = _what_is_shown(written, rival)
        assert "border of" not in shown
    finally:
        for row in kept:
            world.sql(
                f"UPDATE {rival.schema}.epoch SET wrapped_kek = $1 WHERE epoch = $2",
                row["wrapped_kek"],
                row["epoch"],
            )
        for table in ("message", "subject"):
            key = "id" if table == "message" else "subject_id"
            world.sql(
                f"DELETE FROM {rival.schema}.{table} WHERE {key} IN (SELECT {key} FROM {acme.schema}.{table})"
            )
    assert "border of rival" in str(world.messages(rival))
    assert world.dead() == set()


def _what_is_shown(secured: Secured, tenant: Tenant) -> str:
    _, output, errors = secured.world.mkc_raw("messages", tenant.name, "--purpose", "test", "--json")
    assert "Traceback" not in errors
    return output + errors
