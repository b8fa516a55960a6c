"""Reads what a tenant's topic still holds of erased people, as a service does that was told of the erasure.

Opens with every transport key that there is. Must never show what it opened.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from contracts import headers as h
from contracts.control import ControlView
from contracts.errors import KeyNotYetKnown, PermanentError, broker_error
from contracts.reader.erasures import KnownErasures
from contracts.reader.keys import Keyring
from contracts.reader.open import EventOpener
from contracts.reader.readings import Erased, Event
from contracts.subject_erased import SUBJECT_ERASED
from contracts.topics import tenant_events_topic
from runtime.kafka.clients import consumer
from runtime.kafka.control import ControlReader
from runtime.secrets import closing_all, secrets_from
from store.settings import ReaderSettings, read_control_signers


@dataclass(slots=True)
class OnTopic:
    """Records that name the erased people, by what reading them gives."""

    erased: int = 0
    dark: int = 0
    """No key opens them any more."""
    still: int = 0
    """Read although they are of the erased past."""


async def read_topic(
    settings: ReaderSettings,
    tenant: UUID,
    slot: str,
    partitions: int,
    people: Collection[str],
    executed_us: int,
) -> OnTopic:
    """`people`: hex pseudonyms; `executed_us`: of the erasure, Unix microseconds. Raises BrokerUnavailable."""
    topic = tenant_events_topic(slot)
    view = ControlView(read_control_signers(settings.control_signers_file))
    async with ControlReader(settings.kafka, "mkc-receipt", view, tls=settings.kafka_tls):
        records = await _records(settings, topic, partitions, {one.encode() for one in people})
    keys = Keyring(await _halves(settings, tenant))
    opener = EventOpener(keys, view.signer, tenant=tenant, erased=KnownErasures())
    seen = OnTopic()
    # Notices first: what they cover is then read as a service reads it that was told.
    for record in sorted(records, key=lambda one: not _is_notice(one)):
        at_s, now_s = record.timestamp / 1000, time.time()
        try:
            reading = opener.open(topic, record.value, record.headers, at_s, key=record.key, now_s=now_s)
        except (PermanentError, KeyNotYetKnown):
            seen.dark += 1
            continue
        if isinstance(reading, Erased):
            seen.erased += 1
        elif isinstance(reading, Event):
            seen.still += reading.received_at.timestamp() * 1_000_000 <= executed_us
        elif not _is_notice(record):
            seen.dark += 1
    return seen


async def _halves(settings: ReaderSettings, tenant: UUID) -> list[bytes]:
    """Every private half of the tenant that there is. Raises KeyServiceUnavailable."""
    secrets = secrets_from(settings, "store", settings.secrets_dir)
    async with closing_all(secrets):
        return [await secrets.get_secret(name) for name in await secrets.secret_names(f"transport-{tenant}-")]


async def _records(settings: ReaderSettings, topic: str, partitions: int, people: set[bytes]) -> list[Any]:
    """Notices, and records that name one of `people`."""
    reader = consumer(settings.kafka, "mkc-receipt", group=None, tls=settings.kafka_tls)
    parts = [TopicPartition(topic, number) for number in range(partitions)]
    found: list[Any] = []
    try:
        await reader.start()
        reader.assign(parts)
        starts, ends = await reader.beginning_offsets(parts), await reader.end_offsets(parts)
        for part in parts:
            reader.seek(part, starts[part])
        while left := [part for part in parts if await reader.position(part) < ends[part]]:
            for records in (await reader.getmany(*left, timeout_ms=500)).values():
                found += [one for one in records if _is_notice(one) or people & _people_of(one)]
    except KafkaError as exc:
        raise broker_error(exc, "the tenant's topic cannot be read") from exc
    finally:
        await reader.stop()
    return found


def _is_notice(record: Any) -> bool:
    return bool(dict(record.headers).get(h.CE_TYPE) == SUBJECT_ERASED.encode())


def _people_of(record: Any) -> set[bytes]:
    return set(dict(record.headers).get(h.MK_PERSON, b"").split(b","))
