"""Looks at what still holds a copy: root epochs and transport keys in the database, topics in Kafka. Reads no record.

What it finds is judged by `store.erasure.answers.inventory`. Must never need more of Kafka than to describe: any process that may
see the topics' ends can ask.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from contracts import topics
from contracts.access import ROUTER_GROUP
from contracts.control import RECIPIENT_ERASURE, tenant_recipient
from contracts.errors import broker_error
from runtime.kafka.clients import consumer
from store.database import statements, translated
from store.erasure.answers.inventory import KEPT_AFTER, Observed, Root, TopicHeld, TransportKey

if TYPE_CHECKING:
    from store.database import Connection

SQL: Final = statements(Path(__file__).with_name("inventory.sql"))


@dataclass(frozen=True, slots=True)
class Ages:
    """What no table says: how long a root epoch lasts, the checked maximum age of base backups and WAL, and how long the
    key provider's own backups hold a key that was destroyed (`KeyProvider.destroy_delay`)."""

    root_lasts: timedelta = timedelta(days=7)
    backups_kept: timedelta = timedelta(days=14)
    provider_keeps: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Cluster:
    """How to reach Kafka."""

    bootstrap: str
    tls: ssl.SSLContext | None = None


Look = Callable[[Sequence[str], datetime], Awaitable[Mapping[str, TopicHeld]]]
"""Topics by name, and whether they hold records from before a moment."""


def looking_at(cluster: Cluster) -> Look:
    """Look each time."""

    async def look(names: Sequence[str], before: datetime) -> Mapping[str, TopicHeld]:
        return await look_at(cluster, names, before)

    return look


async def observe(
    connection: Connection,
    look: Look,
    tenant: UUID,
    executed_at: datetime,
    ages: Ages,
    *,
    named_in_request: bool = True,
) -> Observed:
    """`look`: how topics are looked at (`looking_at`). Raises DatabaseUnavailable or BrokerUnavailable."""
    with translated():
        now = await connection.fetchval(SQL["now"])
        roots = [Root(*row) for row in await connection.fetch(SQL["roots"], executed_at, ages.provider_keeps)]
        mine = tenant_recipient(tenant)
        keys = await connection.fetch(
            SQL["transport_keys"],
            executed_at,
            [mine, RECIPIENT_ERASURE],
            KEPT_AFTER + ages.provider_keeps,
        )
        slot = await connection.fetchrow(SQL["slot"], tenant)
    tenant_topic = None if slot is None else topics.tenant_events_topic(slot["slot"])
    shared = [topics.RAW, topics.QUARANTINE_RAW, topics.QUARANTINE_TENANT]
    names = [*shared, *([] if tenant_topic is None else [tenant_topic])]
    held = await look(names, executed_at)

    def keys_of(recipient: str) -> list[TransportKey]:
        return [
            TransportKey(row["recipient"], row["key_id"], row["seal_until"])
            for row in keys
            if row["recipient"] == recipient
        ]

    return Observed(
        now=now,
        executed_at=executed_at,
        roots=roots,
        tenant_keys=keys_of(mine),
        request_keys=keys_of(RECIPIENT_ERASURE),
        tenant_topic=None if tenant_topic is None else held[tenant_topic],
        raw_topic=held[topics.RAW],
        raw_quarantine=held[topics.QUARANTINE_RAW],
        tenant_quarantine=held[topics.QUARANTINE_TENANT],
        root_lasts=ages.root_lasts,
        backups_kept=ages.backups_kept,
        provider_keeps=ages.provider_keeps,
        named_in_request=named_in_request,
    )


async def look_at(cluster: Cluster, names: Sequence[str], before: datetime) -> dict[str, TopicHeld]:
    """Each topic's configuration, and whether a record from before that moment is still on it. Raises BrokerUnavailable."""
    reader = consumer(cluster.bootstrap, "mk-inventory", group=None, tls=cluster.tls)
    admin = AIOKafkaAdminClient(
        bootstrap_servers=cluster.bootstrap,
        security_protocol="SSL" if cluster.tls else "PLAINTEXT",
        ssl_context=cluster.tls,
    )
    try:
        await reader.start()
        await admin.start()
        configs = await _configs(admin, names)
        committed = await admin.list_consumer_group_offsets(ROUTER_GROUP)
        return {name: await _held(reader, name, configs[name], before, committed) for name in names}
    except KafkaError as exc:
        raise broker_error(exc, "topics cannot be described") from exc
    finally:
        await reader.stop()
        await admin.close()


async def _configs(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, Mapping[str, str]]:
    responses = await admin.describe_configs(
        [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    )
    return {
        resource[3]: {entry[0]: entry[1] for entry in resource[4]}
        for response in responses
        for resource in response.resources
    }


async def _held(
    reader: AIOKafkaConsumer, name: str, config: Mapping[str, str], before: datetime, committed: Any
) -> TopicHeld:
    # The client knows only topics that it was asked about.
    await reader._client.add_topic(name)
    every = [TopicPartition(name, number) for number in sorted(reader.partitions_for_topic(name) or ())]
    first = await reader.beginning_offsets(every)
    end = await reader.end_offsets(every)
    # A record of the same second counts as from before.
    found = await reader.offsets_for_times({one: int(before.timestamp() * 1000) + 1_000 for one in every})
    later = {one: end[one] if found.get(one) is None else found[one].offset for one in every}
    is_raw = name == topics.RAW
    return TopicHeld(
        name,
        timedelta(milliseconds=int(config["retention.ms"])),
        timedelta(milliseconds=int(config["segment.ms"])),
        holds_earlier=any(first[one] < later[one] for one in every),
        unrouted_earlier=is_raw
        and any(
            max(first[one], committed[one].offset if one in committed else 0) < later[one] for one in every
        ),
    )
