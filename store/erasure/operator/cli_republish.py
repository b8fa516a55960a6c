"""`mkc erasure republish-fences`: lets a database write again whose fence topic was lost. Runs with erasure's settings."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from contracts.topics import ERASURE_FENCES
from runtime.kafka.clients import Producer
from runtime.kafka.topic_log import TopicLog
from runtime.settings import load
from store.custody.operating import say, say_json
from store.database import connected
from store.erasure.recovery.republish import republish
from store.erasure.settings import ErasureSettings

SUMMARY = "write this database's fences to a fence topic that was lost or made anew, and begin there"
DESCRIPTION = (
    "After the fence topic was lost, made anew or cut: the store refuses to write (mk_store_restore_gate_open is 0), since\n"
    "it cannot tell a lost topic from a lost database. This command says that the topic was lost. If it was the database,\n"
    "restore the newest one there is first. What it writes is on record (docs/runbook-restore.md)."
)


def republish_fences(*, even_so: bool, as_json: bool) -> int:
    """0 when it is done."""
    return asyncio.run(_run(even_so=even_so, as_json=as_json))


async def _run(*, even_so: bool, as_json: bool) -> int:
    settings = load(ErasureSettings)
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(
            connected(settings.database.get_secret_value(), "mkc-republish")
        )
        producer = Producer(settings.kafka, "mkc-republish", tls=settings.kafka_tls)
        await producer.start()
        stack.push_async_callback(producer.stop)
        log = TopicLog(settings.kafka, "mkc-republish", ERASURE_FENCES, settings.kafka_tls)
        stack.push_async_callback(log.stop)
        done = await republish(connection, producer, log, settings.signer(), even_so=even_so)
    if as_json:
        say_json({"fences": done.fences, "tenants": done.tenants})
    else:
        say(
            f"{done.fences} fences of {done.tenants} tenants written; every store that is up goes on within a second"
        )
    return 0
