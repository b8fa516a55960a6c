"""`mkc events`: a tenant's events on its topic. Headers are readable; values are opened only with `--open`, on record."""

from __future__ import annotations

import argparse
import asyncio
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from contracts import headers as h
from contracts.control import ControlView
from contracts.errors import KeyNotYetKnown, TransientError, broker_error
from contracts.events.registry import EVENT_TYPES
from contracts.events.words import in_words, shown
from contracts.topics import tenant_events_topic
from runtime.arguments import count
from runtime.kafka.clients import consumer as make_consumer
from runtime.kafka.control import ControlReader
from runtime.secrets import closing_all, secrets_from
from runtime.settings import load
from store.lanes.database import Connection, fetch_row
from store.lanes.event_types import known_type
from store.lanes.opening import TenantOpener
from store.lanes.queries import fixed
from store.lanes.reading import Tenant, connected, find_tenant, recorded, say, whoever
from store.settings import ReaderSettings, read_control_signers

_KEY_WAIT_S: Final = 0.5
_TYPE_COLUMNS: Final = max(map(len, EVENT_TYPES))


class NoTopic(KeyNotYetKnown):
    """The tenant has no slot yet."""

    code = "no_slot"


def main(arguments: list[str]) -> int:
    """Exit code."""
    options = _parser().parse_args(arguments)
    if options.open and not (options.purpose or "").strip():
        sys.stderr.write("mkc events: --open reads personal data and needs --purpose TEXT\n")
        return 2
    return asyncio.run(_show(options, load(ReaderSettings)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mkc events",
        description="Show a tenant's events as they lie on its topic. Without --open nothing personal is shown: only "
        "headers, in which people and conversations are pseudonyms.",
        epilog="examples:\n  mkc events acme --limit 20\n  mkc events acme --follow\n"
        "  mkc events acme --open --purpose 'ticket 4711' --json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("tenant", metavar="TENANT", help="name or id")
    parser.add_argument("--open", action="store_true", help="decrypt the values; recorded, needs --purpose")
    parser.add_argument("--purpose", metavar="TEXT", help="why you read this; recorded")
    parser.add_argument("--who", help="who reads, if not the user logged in here; recorded")
    parser.add_argument("--follow", action="store_true", help="go on with new events until Ctrl-C")
    parser.add_argument("--limit", type=count, help="only the last so many of each partition")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    return parser


async def _show(options: argparse.Namespace, settings: ReaderSettings) -> int:
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(connected(settings))
        tenant = await find_tenant(connection, options.tenant)
        topic, partitions = await _topic(connection, tenant)
        opener = None
        counter = None
        if options.open:
            view = ControlView(read_control_signers(settings.control_signers_file))
            await stack.enter_async_context(
                ControlReader(settings.kafka, "mkc-events", view, tls=settings.kafka_tls)
            )
            secrets = secrets_from(settings, "store", settings.secrets_dir)
            await stack.enter_async_context(closing_all(secrets))
            opener = TenantOpener(secrets, view, known_type)
            who = options.who or whoever()
            counter = await stack.enter_async_context(
                recorded(connection, tenant, who, options.purpose, f"events of {topic}")
            )
        reader = await stack.enter_async_context(_reader(settings.kafka, settings.kafka_tls))
        async for record in _records(reader, topic, partitions, options.limit, follow=options.follow):
            event = _described(record)
            if opener is not None and counter is not None:
                event |= await _opened(opener, record, tenant)
                counter.rows += 1
            say(orjson.dumps(event).decode() if options.json else _line(event, is_open=options.open))
    return 0


async def _topic(connection: Connection, tenant: Tenant) -> tuple[str, int]:
    row = await fetch_row(connection, fixed("find_slot"), tenant.tenant)
    if row is None:
        raise NoTopic("the tenant has no topic yet: is the custodian running?")
    return tenant_events_topic(row["slot"]), row["partitions"]


@asynccontextmanager
async def _reader(bootstrap: str, tls: ssl.SSLContext | None) -> AsyncIterator[AIOKafkaConsumer]:
    reader = make_consumer(bootstrap, "mkc-events", group=None, tls=tls)
    try:
        await reader.start()
        yield reader
    except KafkaError as exc:
        raise broker_error(exc, "the tenant's topic cannot be read") from exc
    finally:
        await reader.stop()


async def _records(
    reader: AIOKafkaConsumer, topic: str, partitions: int, limit: int | None, *, follow: bool
) -> AsyncIterator[ConsumerRecord]:
    """From the log's start, or the last `limit` of each partition, up to its present end or for ever."""
    every = [TopicPartition(topic, number) for number in range(partitions)]
    reader.assign(every)
    first = await reader.beginning_offsets(every)
    end = await reader.end_offsets(every)
    for at in every:
        reader.seek(at, first[at] if limit is None else max(first[at], end[at] - limit))
    left = {at for at in every if await reader.position(at) < end[at]}
    while left or follow:
        batches = await reader.getmany(timeout_ms=300)
        for records in batches.values():
            for record in records:
                if follow or record.offset < end[TopicPartition(record.topic, record.partition)]:
                    yield record
        left = {at for at in left if await reader.position(at) < end[at]}


def _described(record: ConsumerRecord) -> dict[str, Any]:
    named = {
        name: value.decode("ascii", "replace") for name, value in record.headers if name[:3] in ("ce_", "mk_")
    }
    return {
        "partition": record.partition,
        "offset": record.offset,
        "id": named.get(h.CE_ID),
        "type": named.get(h.CE_TYPE),
        "occurred_at": named.get(h.CE_TIME),
        "published_at": datetime.fromtimestamp(record.timestamp / 1000, UTC).isoformat(
            timespec="milliseconds"
        ),
        "source": named.get(h.CE_SOURCE),
        "account": named.get(h.MK_ACCOUNT),
        "direction": named.get(h.MK_DIRECTION),
        "conversation": named.get(h.CE_SUBJECT),
        "persons": [one for one in named.get(h.MK_PERSON, "").split(",") if one],
        "message_ref": named.get(h.MK_REF),
        "replay": any(name == h.Q_REPLAY for name, _ in record.headers),
        "bytes": len(record.value or b""),
    }


async def _opened(opener: TenantOpener, record: ConsumerRecord, tenant: Tenant) -> dict[str, Any]:
    try:
        opened = await opener.open_waiting(record, tenant.tenant)
    except KeyNotYetKnown:
        await asyncio.sleep(_KEY_WAIT_S)  # the key of today may be a moment younger than the event
        try:
            opened = await opener.open_waiting(record, tenant.tenant)
        except TransientError as exc:
            return {"unreadable": exc.code}
    if opened.reason is not None:
        return {"unreadable": opened.reason}
    return {"data": orjson.loads(opened.event.payload)} if opened.event is not None else {"notice": True}


def _line(event: dict[str, Any], *, is_open: bool) -> str:
    """A line of headers, and below it, if the value was opened, what it says. Headers may be anybody's until it opens."""
    arrow = {"i": "←", "o": "→"}.get(str(event["direction"]), "·")
    line = (
        f"{event['partition']}:{event['offset']:<8} {shown(event['occurred_at'] or 'undated'):<24} "
        f"{shown(event['conversation'] or '-')[:8]:<8} {arrow} {shown(event['type'] or '?'):<{_TYPE_COLUMNS}} "
        f"{event['bytes']:>6} B"
    )
    if event["replay"]:
        line += "  put back"
    if not is_open:
        return line
    if "unreadable" in event:
        return f"{line}  {event['unreadable']}"
    if event.get("notice"):
        return f"{line}  an erasure is announced"
    return "\n".join([line, *(f"    {text}" for text in in_words(str(event["type"]), event.get("data")))])
