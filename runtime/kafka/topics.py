"""Creates declared topics and compares a running cluster with what the code declares."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from contracts.errors import BrokerUnavailable, broker_error
from contracts.topics import TopicSpec
from runtime.kafka.admin import AdminConnection

_FIRST_WITH: Final = ((90, "4.1 or newer"), (74, "3.7 or newer"))
"""Request numbers (DescribeShareGroupOffsets, ListClientMetricsResources) and the release that brought them."""


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """How this cluster differs from production: replication, and shortened times (ms) for tests."""

    replication: int = 1
    min_insync_replicas: int = 1
    local: bool = True
    retention_ms: int | None = None
    segment_ms: int | None = None

    def partitions(self, spec: TopicSpec) -> int:
        """The declared number of partitions here."""
        return spec.local_partitions if self.local else spec.partitions

    def config(self, spec: TopicSpec) -> dict[str, str]:
        """The declared configuration here."""
        config = spec.config(retention_ms=self.retention_ms, segment_ms=self.segment_ms)
        return {**config, "min.insync.replicas": str(self.min_insync_replicas)}


class TopicAdmin(AdminConnection):
    """Creates and describes topics."""

    def __init__(self, bootstrap: str, settings: TopicSettings, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(bootstrap, tls)
        self._settings = settings

    async def cluster(self) -> tuple[int, str]:
        """How many brokers there are, and the oldest Kafka that answers as this one does.

        The protocol has no version of the broker; requests that came with a release say it roughly.
        """
        try:
            brokers = len((await self._client.describe_cluster())["brokers"])
        except KafkaError as exc:
            raise broker_error(exc, "the cluster cannot be described") from exc
        known = {key for connection in self._client._client._conns.values() for key in connection._versions}
        return brokers, next((name for key, name in _FIRST_WITH if key in known), "3.6 or older")

    async def existing(self) -> set[str]:
        """Names of all topics."""
        try:
            return set(await self._client.list_topics())
        except KafkaError as exc:
            raise broker_error(exc, "topics cannot be listed") from exc

    async def ensure(self, specs: Iterable[TopicSpec], *, timeout_s: float = 20) -> list[str]:
        """Create what is missing and wait until every partition has a leader; the names created."""
        wanted = {spec.name: spec for spec in specs}
        missing = [spec for name, spec in wanted.items() if name not in await self.existing()]
        try:
            if missing:
                response = await self._client.create_topics(
                    [
                        NewTopic(
                            spec.name,
                            self._settings.partitions(spec),
                            self._settings.replication,
                            topic_configs=self._settings.config(spec),
                        )
                        for spec in missing
                    ]
                )
                for name, code, *_ in response.topic_errors:
                    if code not in (0, 36):  # 36: TOPIC_ALREADY_EXISTS, another process was first
                        raise for_code(code)(name)
            await self._await_leaders(wanted, timeout_s)
        except KafkaError as exc:
            raise broker_error(exc, "topics cannot be created") from exc
        return [spec.name for spec in missing]

    async def _await_leaders(self, wanted: dict[str, TopicSpec], timeout_s: float) -> None:
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            described = await self._client.describe_topics(list(wanted))
            ready = sum(
                1
                for topic in described
                if topic["error_code"] == 0
                and topic["partitions"]
                and all(part["leader"] >= 0 for part in topic["partitions"])
            )
            if ready == len(wanted):
                return
            if asyncio.get_running_loop().time() > deadline:
                raise BrokerUnavailable("new topics have no leader yet")
            await asyncio.sleep(0.05)

    async def differences(self, specs: Iterable[TopicSpec]) -> list[str]:
        """Human sentences: a topic that is missing, has another partition count or another configuration."""
        wanted = {spec.name: spec for spec in specs}
        found: list[str] = []
        try:
            present = await self.existing()
            names = [name for name in wanted if name in present]
            described = (
                {topic["topic"]: topic for topic in await self._client.describe_topics(names)}
                if names
                else {}
            )
            configs = await self._configs(names)
        except KafkaError as exc:
            raise broker_error(exc, "topics cannot be described") from exc
        for name, spec in wanted.items():
            if name not in present:
                found.append(f"{name}: missing")
                continue
            count = len(described[name]["partitions"])
            if count != self._settings.partitions(spec):
                found.append(f"{name}: {count} partitions, declared {self._settings.partitions(spec)}")
            for key, value in self._settings.config(spec).items():
                actual = configs.get(name, {}).get(key)
                if actual != value:
                    found.append(f"{name}: {key} is {actual}, declared {value}")
        return found

    async def _configs(self, names: list[str]) -> dict[str, dict[str, str]]:
        if not names:
            return {}
        responses = await self._client.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        )
        return {
            resource[3]: {entry[0]: entry[1] for entry in resource[4]}
            for response in responses
            for resource in response.resources
        }
