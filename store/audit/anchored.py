"""Reads the checkpoints topic: the audit log's heads outside the database. Joins no consumer group."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from contracts import topics
from contracts.audit_checkpoints import Checkpoint, Head, head_of
from contracts.errors import TamperedRecord, broker_error
from contracts.signing import SignerLookup
from runtime.kafka.clients import consumer

_PARTITION: Final = TopicPartition(topics.AUDIT_CHECKPOINTS, 0)
_BACK: Final = 64
_SEGMENT_MS: Final = 62 * topics.DAY_MS
"""Segments expire as a whole: what is left may be that much younger than the retention."""
_CLOSE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Anchored:
    """What the topic holds. `refused`: records that no known signer of the audit log signed."""

    heads: tuple[Head, ...]
    """In the order of the topic; one may stand there twice."""
    refused: int
    begins_at: int = 0
    """The topic's first offset: what stood before it is gone."""

    @property
    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """What the heads say."""
        return tuple(head.checkpoint for head in self.heads)

    def lost_its_beginning(self, now_ms: int) -> bool:
        """Whether records are gone that were too young to expire. Judged by the oldest that is left."""
        kept_ms = topics.BY_NAME[topics.AUDIT_CHECKPOINTS].retention_ms or 0
        oldest_ms = min((one.checkpoint.at_ms for one in self.heads), default=now_ms)
        return self.begins_at > 0 and oldest_ms > now_ms - kept_ms + _SEGMENT_MS


async def read_all(bootstrap: str, signers: SignerLookup, tls: ssl.SSLContext | None = None) -> Anchored:
    """Every checkpoint up to the topic's present end. Raises BrokerUnavailable."""
    async with _reader(bootstrap, tls) as (reader, first, end):
        return replace(await _read(reader, first, end, signers), begins_at=first)


async def each_head(
    bootstrap: str, signers: SignerLookup, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[Head, None]:
    """Every checkpoint, one by one: there are years of them. Close it (`aclosing`). Raises BrokerUnavailable."""
    async with _reader(bootstrap, tls) as (reader, first, end):
        async for head in _each(reader, first, end, signers):
            if head is not None:
                yield head


async def read_last(bootstrap: str, signers: SignerLookup, tls: ssl.SSLContext | None = None) -> Head | None:
    """The largest tree among the last records that hold one. Raises BrokerUnavailable."""
    async with _reader(bootstrap, tls) as (reader, first, end):
        back = _BACK
        while True:
            start = max(first, end - back)
            found = (await _read(reader, start, end, signers)).heads
            if found:
                return max(found, key=lambda head: head.tree_size)
            if start == first:
                return None
            back *= 8


@asynccontextmanager
async def _reader(
    bootstrap: str, tls: ssl.SSLContext | None
) -> AsyncIterator[tuple[AIOKafkaConsumer, int, int]]:
    reader = consumer(bootstrap, "mk-audit", group=None, tls=tls, fetch_max_wait_ms=20)
    try:
        await reader.start()
        reader.assign([_PARTITION])
        first = (await reader.beginning_offsets([_PARTITION]))[_PARTITION]
        end = (await reader.end_offsets([_PARTITION]))[_PARTITION]
        yield reader, first, end
    except KafkaError as exc:
        raise broker_error(exc, "the audit log's checkpoints cannot be read") from exc
    finally:
        # Over TLS a peer that does not say good-bye would be waited for for half a minute.
        await asyncio.wait([asyncio.ensure_future(_close_quietly(reader))], timeout=_CLOSE_S)


async def _close_quietly(reader: AIOKafkaConsumer) -> None:
    try:
        await reader.stop()
    except Exception:  # everything that was asked for is read, or the error that matters is on its way
        return


async def _read(reader: AIOKafkaConsumer, first: int, end: int, signers: SignerLookup) -> Anchored:
    found: list[Head] = []
    refused = 0
    async for head in _each(reader, first, end, signers):
        if head is None:
            refused += 1
        else:
            found.append(head)
    return Anchored(tuple(found), refused)


async def _each(
    reader: AIOKafkaConsumer, first: int, end: int, signers: SignerLookup
) -> AsyncGenerator[Head | None, None]:
    """None for a record that no known signer signed."""
    reader.seek(_PARTITION, first)
    while first < end:
        for records in (await reader.getmany(_PARTITION, timeout_ms=500)).values():
            for record in records:
                if record.offset >= end:
                    continue
                try:
                    yield head_of(record.key or b"", record.value or b"", tuple(record.headers), signers)
                except TamperedRecord:
                    yield None
        first = await reader.position(_PARTITION)
