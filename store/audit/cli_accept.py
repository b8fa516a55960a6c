"""`mkc audit accept`: erasure goes on with an audit log that nothing signed vouches for. Runs with erasure's settings."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from contracts.control import ControlView
from contracts.topics import ERASURE_OUTCOMES
from runtime.kafka.clients import Producer
from runtime.kafka.control import ControlReader
from runtime.kafka.topic_log import TopicLog
from runtime.metrics import ProcessMetrics
from runtime.settings import load
from store.audit.accept import accept, found
from store.audit.sequencer import Sequencer
from store.custody.operating import say, say_json
from store.database import connected
from store.erasure.settings import ErasureSettings
from store.settings import read_control_signers

DESCRIPTION = (
    "Erasure does nothing while the audit log is not the one that it signed (mk_erasure_audit_trusted is 0). First find out\n"
    "who changed it: mkc audit verify, backups, receipts. Only then, and by whoever answers for it: this command shows what\n"
    "would be signed and its root, and with --root ROOT signs exactly that. An entry of the log says so for ever."
)


def accept_entries(*, root: str | None, as_json: bool) -> int:
    """0 when nothing is in doubt any more, 1 when it was only shown."""
    return asyncio.run(_run(root, as_json=as_json))


async def _run(root: str | None, *, as_json: bool) -> int:
    settings = load(ErasureSettings)
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(
            connected(settings.database.get_secret_value(), "mkc-audit-accept")
        )
        view = ControlView(read_control_signers(settings.control_signers_file))
        await stack.enter_async_context(
            ControlReader(settings.kafka, "mkc-audit-accept", view, tls=settings.kafka_tls)
        )
        producer = Producer(settings.kafka, "mkc-audit-accept", tls=settings.kafka_tls)
        await producer.start()
        stack.push_async_callback(producer.stop)
        outcomes = TopicLog(settings.kafka, "mkc-audit-accept", ERASURE_OUTCOMES, settings.kafka_tls)
        stack.push_async_callback(outcomes.stop)
        sequencer = Sequencer(
            settings.database.get_secret_value(),
            settings.kafka,
            producer,
            settings.signer(),
            view.signer,
            outcomes,
            ProcessMetrics("erasure"),
            settings.kafka_tls,
        )
        if root is not None:
            count = await accept(sequencer, connection, root)
            _say({"accepted": count}, f"{count} entries accepted, signed and anchored", as_json=as_json)
            return 0
        seen = await found(sequencer, connection)
    if seen is None:
        _say({"in_doubt": None}, "the log is as it was signed: nothing to accept", as_json=as_json)
        return 0
    told = {
        "reason": seen.reason,
        "first_leaf": seen.first_leaf,
        "entries": seen.entries,
        "root": seen.root,
    }
    text = (
        f"in doubt ({seen.reason}): {seen.entries} entries from {seen.first_leaf} on, root {seen.root}\n"
        f"mkc audit accept --root {seen.root}"
    )
    _say({"in_doubt": told}, text, as_json=as_json)
    return 1


def _say(document: dict[str, object], text: str, *, as_json: bool) -> None:
    if as_json:
        say_json(document)
    else:
        say(text)
