"""A database cell with real tenants, written to directly: one batch at a time, without Kafka in between."""

import hashlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from contracts.ids import event_id
from deploy.local.database import login_dsn
from runtime.files import SecretFolder
from store.keys.keyring import LocalKeyring
from store.lanes.database import Connection, connect, make_clean
from store.lanes.event import TenantEvent
from store.lanes.event_types import known_type
from store.lanes.keks import TenantKeks
from store.lanes.persist import Batch, Persisted, Persister
from store.lanes.queries import lock_number, tenant_statements
from store.lanes.transaction import store_batches
from tests.support.world import Tenant, World

_numbers = count(1)
ACCOUNT = UUID(int=1)


def alias(name: str) -> bytes:
    """A person's pseudonym."""
    return hashlib.sha256(name.encode()).digest()[:16]


class Cell:
    """Writes batches as the store does and erases as erasure will."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.secrets = SecretFolder(world.service.root / "keys" / "store" / "secrets")

    def dsn(self, login: str) -> str:
        """The DSN of a login."""
        endpoints = self.world.stack.endpoints
        plain = login_dsn(endpoints.postgres, login, self.world.service.database)
        return plain if endpoints.passwords is None else endpoints.passwords.dsn(plain, login)

    def new_tenant(self) -> Tenant:
        """A tenant with its lane at 0."""
        tenant = self.world.add_tenant(f"tenant-{next(_numbers)}")
        self.world.sql(f"INSERT INTO {tenant.schema}.lane VALUES (0, $1, 0)", tenant.slot)
        return tenant

    def persister(self) -> Persister:
        """One with no key in memory."""
        return Persister(TenantKeks(LocalKeyring(self.secrets)))

    @asynccontextmanager
    async def connection(self, login: str = "mk_store") -> AsyncIterator[Connection]:
        """A connection with the lanes' settings."""
        connection = await connect(self.dsn(login))
        try:
            yield connection
        finally:
            await connection.close()

    def batch(self, tenant: Tenant, events: Iterable[TenantEvent], **changes: Any) -> Batch:
        """The batch at the tenant's position."""
        listed = tuple(events)
        first = changes.pop("first", None)
        if first is None:
            first = self.position(tenant)
        extra = sum(changes.get(name, 0) for name in ("quarantined", "notice", "expired_unread"))
        values: dict[str, Any] = {
            "tenant": tenant.tenant,
            "statements": tenant_statements(tenant.schema),
            "slot": tenant.slot,
            "partition": 0,
            "first": first,
            "next_offset": first + len(listed) + extra,
            "events": listed,
            "refused": frozenset(),
            "retention_days": 365,
        }
        return Batch(**(values | changes))

    def position(self, tenant: Tenant) -> int:
        """Of the tenant's only lane."""
        return int(self.world.sql(f"SELECT position FROM {tenant.schema}.lane WHERE partition = 0")[0][0])

    async def write(self, tenant: Tenant, *events: TenantEvent, **changes: Any) -> Persisted:
        """One transaction of one batch. Raises what ended it."""
        async with self.connection() as connection:
            (ending,) = await store_batches(
                connection, self.persister(), [self.batch(tenant, events, **changes)]
            )
            await make_clean(connection)
        if isinstance(ending, Exception):
            raise ending
        assert ending is not None
        return ending

    async def erase(
        self, tenant: Tenant, *names: str, watermark: datetime | None = None, blocked: bool = False
    ) -> None:
        """Fence the subjects of these aliases as erasure does: under the tenant's lock, alone."""
        s = tenant.schema
        async with self.connection("mk_erasure") as connection, connection.transaction():
            await connection.execute(f'SET LOCAL ROLE "{s}_erase"')
            await connection.execute(f"SELECT pg_advisory_xact_lock({lock_number(tenant.tenant)})")
            await connection.execute(
                f"UPDATE {s}.subject SET generation = generation + 1, erased_through_gen = generation, wrapped_dek = NULL,"
                " dek_epoch = NULL, watermark = coalesce($2, clock_timestamp()), executed_at = clock_timestamp(), blocked = $3"
                f" WHERE subject_id IN (SELECT subject_id FROM {s}.alias WHERE pseudonym = ANY($1))",
                [alias(name) for name in names],
                watermark,
                blocked,
            )

    async def erase_after(self, tenant: Tenant, first: TenantEvent) -> None:
        """Store an event of `ana`, then erase her."""
        await self.write(tenant, first)
        await self.erase(tenant, "ana")

    def subjects(self, tenant: Tenant) -> dict[bytes, asyncpg.Record]:
        """Subjects by alias."""
        rows = self.world.sql(
            f"SELECT * FROM {tenant.schema}.subject JOIN {tenant.schema}.alias USING (subject_id)"
        )
        return {row["pseudonym"]: row for row in rows}

    def people(self, tenant: Tenant) -> tuple[int, int]:
        """How many subjects and aliases there are."""
        s = tenant.schema
        found = self.world.sql(f"SELECT (SELECT count(*) FROM {s}.subject), (SELECT count(*) FROM {s}.alias)")
        return (int(found[0][0]), int(found[0][1]))

    def outcomes(self, tenant: Tenant) -> dict[str, int]:
        """Totals by name."""
        return {str(name): number for name, number in self.world.outcomes(tenant).items()}


def event(
    *persons: str,
    kind: str = "message.received",
    at: datetime | None = None,
    received: datetime | None = None,
    text: bytes = b'{"text":"hello"}',
    ref: str | None = None,
    account: UUID = ACCOUNT,
    undated: bool = False,
    native: str | None = None,
) -> TenantEvent:
    """An opened event, of now unless said otherwise."""
    now = datetime.now(UTC)
    occurred = at or now
    known = known_type(kind)
    identity = event_id(
        b"k" * 32,
        occurred_at_ms=None if undated else int(occurred.timestamp() * 1000),
        provider_object="page",
        account=str(account),
        kind=kind,
        native_id=native or uuid4().hex,
    )
    return TenantEvent(
        event_id=identity,
        event_type=kind,
        schema_version=1,
        opens_generation=known.opens_generation,
        retention=known.retention,
        account=account,
        direction="i",
        conversation=alias("conversation"),
        message_ref=alias(ref) if ref else None,
        persons=tuple(alias(person) for person in persons),
        occurred_s=None if undated else int(occurred.timestamp()),
        received_at=received or now,
        payload=text,
    )


def seconds(number: float) -> timedelta:
    """A duration."""
    return timedelta(seconds=number)
