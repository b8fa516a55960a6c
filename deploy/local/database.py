"""Makes a database cell's roles, logins and database on a cluster; its schema is the business of `store.migrate`.

Run by a superuser once per cluster and database. On the plain local stack the logins need no password: the cluster
trusts this machine and listens on nothing else.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import asyncpg

from deploy.local.errors import LocalStackError
from deploy.local.passwords import Passwords, verifier

LOGINS: Final = ("mk_custodian", "mk_store", "mk_erasure", "mk_reader", "mk_desk")
_ROLES_SQL: Final = Path(__file__).with_name("database.sql")
_OBJECTS_SQL: Final = Path(__file__).with_name("database_objects.sql")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
_LOCK: Final = 0x6D6B_6462
"""Of two that prepare at once the second waits: Postgres itself fails with "tuple concurrently updated"."""


def prepare_database(admin_dsn: str, name: str, passwords: Passwords | None = None) -> dict[str, str]:
    """Make roles, logins and the database `name`; the DSN of each login by its name. Idempotent.

    `admin_dsn`: a superuser's DSN as a URL. May be called from a thread and from inside a running event loop (which it
    then blocks). `passwords`: each login gets its own, and the DSNs name its file. Raises LocalStackError.
    """
    if not _NAME.fullmatch(name):
        raise LocalStackError("A database's name has lower-case letters, digits and underscores.")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(_prepare(admin_dsn, name, passwords))).result()
    return database_logins(admin_dsn, name, passwords)


def database_logins(admin_dsn: str, name: str, passwords: Passwords | None = None) -> dict[str, str]:
    """The DSN of each login by its name for the database `name` on the admin DSN's server; makes nothing."""
    plain = {login: login_dsn(admin_dsn, login, name) for login in LOGINS}
    if passwords is None:
        return plain
    return {login: passwords.dsn(dsn, login) for login, dsn in plain.items()}


async def admit_logins(admin: asyncpg.Connection[asyncpg.Record], name: str) -> None:
    """Nobody but our logins connects, and nobody makes temporary tables or objects outside mk_owner's schemas."""
    await admin.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')
    await admin.execute(f'GRANT CONNECT ON DATABASE "{name}" TO {", ".join(LOGINS)}')
    await admin.execute(f'GRANT CREATE ON DATABASE "{name}" TO mk_owner')


def login_dsn(admin_dsn: str, login: str, name: str) -> str:
    """The DSN of `login` for the database `name` on the admin DSN's server, without the admin's password."""
    parts = urlsplit(admin_dsn)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{login}@{host}", path=f"/{name}").geturl()


async def _prepare(admin_dsn: str, name: str, passwords: Passwords | None) -> None:
    try:
        connection = await asyncpg.connect(admin_dsn)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as exc:
        raise LocalStackError("The database cluster does not let its superuser in.") from exc
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await connection.execute(_ROLES_SQL.read_text())
        if passwords is not None:
            for login in LOGINS:
                await connection.execute(f"ALTER ROLE {login} PASSWORD '{verifier(passwords.ensure(login))}'")
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name):
            await connection.execute(f'CREATE DATABASE "{name}"')
        await admit_logins(connection, name)
        inside = await asyncpg.connect(urlsplit(admin_dsn)._replace(path=f"/{name}").geturl())
        try:
            await inside.execute(_OBJECTS_SQL.read_text())
        finally:
            await inside.close()
    except asyncpg.PostgresError as exc:
        raise LocalStackError("The database's roles could not be made: is the DSN a superuser's?") from exc
    finally:
        await connection.close()
