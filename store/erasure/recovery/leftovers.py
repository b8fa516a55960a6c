"""Deletes what a restored database still has of requests that were told to be at their end.

A backup may be taken between a step, after which no key opens what the person wrote, and the last of its deletes. Put
back, the step stands and the outcomes say that the request was answered: nobody drives it any more, and its rows would
stay. Must never execute anything: only what a step did already is deleted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from store.database import statements, translated, with_names
from store.erasure.equipment import Tools
from store.erasure.execution.executors import deleter_of
from store.erasure.jobs import load_job
from store.erasure.tenants import TenantSchema, inside

SQL: Final = statements(Path(__file__).with_name("leftovers.sql"))


async def delete_leftovers(tools: Tools, tenant: TenantSchema) -> int:
    """Of how many requests. Raises DatabaseUnavailable; what is deleted by then stays deleted."""
    connection = tools.connection
    async with inside(connection, tenant):
        rows = await connection.fetch(with_names(SQL["undeleted"], schema=tenant.schema))
    if not rows:
        return 0
    with translated():
        over = await connection.fetch(SQL["over"], [row["request_id"] for row in rows])
    for row in over:
        job = await load_job(connection, row["request_id"])
        delete = deleter_of(job)
        if delete is not None:
            await delete(tools, job, tenant)
    return len(over)
