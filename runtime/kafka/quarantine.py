"""Reads a quarantine topic and puts records back where they came from: the half that every zone's `mkc quarantine` shares.

Knows the signed facts and the sealed bytes; must never open them (each zone has its own keys for that).
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import Final

import orjson
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from contracts.errors import ReplayLimit, TamperedRecord, broker_error
from contracts.headers import (
    Q_ITEMS,
    Q_OFFSET,
    Q_PARTITION,
    Q_RECEIVED_AT,
    Q_REPLAY,
    Q_TOPIC,
    Headers,
    add_q_facts,
    verify_q_facts,
)
from contracts.signing import Right, Signer, SignerLookup
from runtime.kafka.clients import Producer, acknowledged, consumer

REPLAYS_ALLOWED: Final = 3
READ_S: Final = 8.0


@dataclass(frozen=True, slots=True)
class SetAside:
    """One quarantine record. `identity` is `topic:partition:offset` of its source; times in Unix milliseconds."""

    identity: str
    topic: str
    partition: int
    offset: int
    received_at_ms: int
    set_aside_at_ms: int
    items: tuple[tuple[str, str], ...]
    """(item path, reason); an empty path is the whole record."""
    replay: int
    value: bytes = field(repr=False)
    headers: Headers = field(repr=False)
    """All headers, the signed facts too."""

    @property
    def reasons(self) -> dict[str, int]:
        """Items by reason."""
        counted: dict[str, int] = {}
        for _, reason in self.items:
            counted[reason] = counted.get(reason, 0) + 1
        return counted

    @property
    def original_headers(self) -> list[tuple[str, bytes]]:
        """The headers of the source record."""
        return [pair for pair in self.headers if not pair[0].startswith("q_")]


def decode(value: bytes, headers: Headers, timestamp_ms: int, lookup: SignerLookup, right: Right) -> SetAside:
    """One record, its facts verified. Raises TamperedRecord."""
    facts = verify_q_facts(value, headers, lookup, right)
    try:
        topic, partition, offset = facts[Q_TOPIC].decode(), int(facts[Q_PARTITION]), int(facts[Q_OFFSET])
        return SetAside(
            identity=f"{topic}:{partition}:{offset}",
            topic=topic,
            partition=partition,
            offset=offset,
            received_at_ms=int(facts[Q_RECEIVED_AT]),
            set_aside_at_ms=timestamp_ms,
            items=tuple((str(path), str(reason)) for path, reason in orjson.loads(facts[Q_ITEMS])),
            replay=int(facts[Q_REPLAY]),
            value=value,
            headers=headers,
        )
    except (KeyError, ValueError, TypeError) as exc:
        raise TamperedRecord("the facts of a quarantine record cannot be read") from exc


async def read_all(
    bootstrap: str, topic: str, lookup: SignerLookup, right: Right, tls: ssl.SSLContext | None = None
) -> tuple[list[SetAside], int]:
    """Every record up to the topic's present end, the last of each source, oldest first; and how many are tampered.

    Raises BrokerUnavailable.
    """
    found: dict[str, SetAside] = {}
    tampered = 0
    reader = consumer(bootstrap, "mkc-quarantine", group=None, tls=tls)
    try:
        await reader.start()
        cluster = await reader._client.fetch_all_metadata()
        partitions = [
            TopicPartition(topic, number) for number in sorted(cluster.partitions_for_topic(topic) or ())
        ]
        reader.assign(partitions)
        first = await reader.beginning_offsets(partitions)
        end = await reader.end_offsets(partitions)
        for at in partitions:
            reader.seek(at, first[at])
        left = {at for at in partitions if first[at] < end[at]}
        while left:
            for records in (await reader.getmany(*left, timeout_ms=500)).values():
                for record in records:
                    try:
                        one = decode(
                            record.value or b"", tuple(record.headers), record.timestamp, lookup, right
                        )
                    except TamperedRecord:
                        tampered += 1
                        continue
                    found[one.identity] = one
            left = {at for at in left if await reader.position(at) < end[at]}
    except KafkaError as exc:
        raise broker_error(exc, "the quarantine topic cannot be read") from exc
    finally:
        await reader.stop()
    return sorted(found.values(), key=lambda one: one.set_aside_at_ms), tampered


async def read_one(
    bootstrap: str,
    topic: str,
    partition: int,
    offset: int,
    lookup: SignerLookup,
    right: Right,
    tls: ssl.SSLContext | None = None,
) -> SetAside:
    """The record at one place. Raises TamperedRecord (also if retention removed it) or BrokerUnavailable."""
    reader = consumer(bootstrap, "mkc-quarantine", group=None, tls=tls)
    at = TopicPartition(topic, partition)
    try:
        await reader.start()
        reader.assign([at])
        reader.seek(at, offset)
        async with asyncio.timeout(READ_S):
            record = await reader.getone(at)
    except OffsetOutOfRangeError as exc:
        raise TamperedRecord("the quarantine record is gone") from exc
    except (KafkaError, TimeoutError) as exc:
        raise broker_error(exc, "the quarantine topic cannot be read") from exc
    finally:
        await reader.stop()
    if record.offset != offset:
        raise TamperedRecord("the quarantine record is gone")
    return decode(record.value or b"", tuple(record.headers), record.timestamp, lookup, right)


async def put_back(one: SetAside, producer: Producer, signer: Signer, *, counted: bool = True) -> int:
    """Publish the sealed bytes and original headers to the original topic and partition; the new offset.

    `counted`: the operator's replays count, at most three (DESIGN.md section 8). Raises ReplayLimit, BrokerUnavailable.
    """
    replay = one.replay + 1 if counted else one.replay
    if replay > REPLAYS_ALLOWED:
        raise ReplayLimit("replayed three times already")
    facts = {
        Q_TOPIC: one.topic.encode(),
        Q_PARTITION: b"%d" % one.partition,
        Q_OFFSET: b"%d" % one.offset,
        Q_RECEIVED_AT: b"%d" % one.received_at_ms,
        Q_ITEMS: orjson.dumps([list(pair) for pair in one.items]),
        Q_REPLAY: b"%d" % replay,
    }
    headers = add_q_facts(one.value, one.original_headers, facts, signer)
    future = await producer.send(one.topic, one.value, headers=headers, partition=one.partition)
    return int((await acknowledged(future)).offset)
