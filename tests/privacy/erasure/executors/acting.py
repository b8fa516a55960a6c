"""Executors driven directly: a prepared database, no process, rotations step by step."""

import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid4

import asyncpg

from contracts.control import AccountRecord, Consent, ControlView
from contracts.signing import Signer
from runtime.clock import SystemClock
from runtime.epochs import EpochSource
from runtime.metrics import ProcessMetrics
from store.database import connected
from store.erasure.equipment import Step, Tools
from store.erasure.execution import joins
from store.erasure.execution.executors import deleter_of, executor_of
from store.erasure.jobs import load_job
from store.erasure.steps import ErasureStep, steps_of
from store.erasure.tenants import TenantSchema, find_tenant, inside
from store.lanes.keks import TenantKeks
from tests.security.keys.cell import KeyCell
from tests.support.eraser import OneClock
from tests.support.world import Tenant

SIGNER = Signer.from_bytes("erasure", os.urandom(32))


@dataclass(slots=True)
class Acting:
    """What the erasure process would do to one tenant of the cell."""

    keys: KeyCell
    tenant: Tenant
    view: ControlView = field(default_factory=lambda: ControlView({}))

    @asynccontextmanager
    async def tools(
        self, reached: Callable[[UUID, Step], None] = lambda _request, _step: None
    ) -> AsyncIterator[Tools]:
        """A worker's, but for Kafka: an executor writes nothing there."""
        async with connected(self.keys.cell.dsn("mk_erasure"), "test") as connection:
            nothing = cast(Any, None)
            yield Tools(
                connection,
                nothing,
                SIGNER,
                EpochSource(SIGNER, SystemClock()),
                self.view,
                TenantKeks(self.keys.provider()),
                nothing,
                SystemClock(),
                ProcessMetrics("erasure"),
                reached,
                clocks=OneClock(),
            )

    async def schema(self, tools: Tools) -> TenantSchema:
        """The tenant as executors see it."""
        found = await find_tenant(tools.connection, self.tenant.tenant)
        assert found is not None
        return found

    def job(self, kind: str, origin: str, **columns: Any) -> UUID:
        """A row that was decided, and told so; its id."""
        request = columns.pop("request_id", None) or uuid4()
        now = datetime.now(UTC)
        values = {
            "request_id": request,
            "tenant_id": self.tenant.tenant,
            "kind": kind,
            "origin": origin,
            "asked_by": "operator",
            "state": "decided",
            "told_state": "decided",
            "requested_at": now,
            "received_at": now,
            "decided_at": now,
        } | columns
        names = ", ".join(values)
        places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
        self.sql(f"INSERT INTO mk.erasure_request ({names}) VALUES ({places})", *values.values())
        return request

    async def execute(
        self,
        request: UUID,
        reached: Callable[[UUID, Step], None] = lambda _request, _step: None,
    ) -> list[ErasureStep]:
        """Let its executor work once; the request's steps after it."""
        async with self.tools(reached) as tools:
            tenant = await self.schema(tools)
            job = await load_job(tools.connection, request)
            await executor_of(job)(tools, job, tenant)
            async with inside(tools.connection, tenant):
                return await steps_of(tools.connection, tenant, request)

    async def take_joins(self) -> list[UUID]:
        """Make jobs of what lanes asked for, decided and told so; their ids."""
        async with self.tools() as tools:
            admitted = await joins.admit(tools.connection, await self.schema(tools), SIGNER.name)
        self.sql(
            "UPDATE mk.erasure_request SET state = 'decided', told_state = 'decided' WHERE request_id = ANY ($1)",
            admitted,
        )
        return admitted

    async def delete(self, request: UUID) -> None:
        """What is deleted after its step, as for a database that was put back in between."""
        async with self.tools() as tools:
            job = await load_job(tools.connection, request)
            delete = deleter_of(job)
            assert delete is not None
            await delete(tools, job, await self.schema(tools))

    async def admit_joins(self) -> list[UUID]:
        """Make jobs of what lanes asked for, and let them execute; their ids."""
        admitted = await self.take_joins()
        for request in admitted:
            await self.execute(request)
        return admitted

    def said(self, account: UUID, consent: str) -> None:
        """Control says this of the account, and the database has it."""
        self.view.accounts[account] = AccountRecord(
            account=account,
            tenant=self.tenant.tenant,
            product="messenger",
            ids=(),
            consent=Consent(
                state=cast(Any, consent), since=datetime.now(UTC), scopes=frozenset(), proof_ref=uuid4()
            ),
            state="connected" if consent == "active" else "disconnected",
        )
        self.sql(
            "INSERT INTO mk.account (account_id, tenant_id, product, state, label, connected_by)"
            " VALUES ($1, $2, 'messenger', 'connected', '', 'test') ON CONFLICT DO NOTHING",
            account,
            self.tenant.tenant,
        )

    def sql(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """As the superuser."""
        return self.keys.world.sql(query.replace("{s}", self.tenant.schema), *arguments)

    def texts(self) -> list[str]:
        """Types of the rows that are left, in order of their ids."""
        return [row[0] for row in self.sql("SELECT event_type FROM {s}.message ORDER BY id")]

    def audited(self, request: UUID) -> list[str]:
        """What the audit log tells of the request."""
        rows = self.sql("SELECT convert_from(entry, 'UTF8')::json AS e FROM mk.audit_entry ORDER BY id")
        entries = [json.loads(row["e"]) for row in rows]
        return [entry["what"] for entry in entries if entry.get("request") == str(request)]
