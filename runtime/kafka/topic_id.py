"""A topic's own id: the broker draws one when it creates a topic, so a topic made anew under its name has another.

aiokafka speaks Metadata up to version 5; the id came with version 10 (Kafka 2.8, KIP-516). This declares that one version
with aiokafka's own building blocks. https://kafka.apache.org/protocol#The_Messages_Metadata
"""

from __future__ import annotations

from io import BytesIO
from typing import Final
from uuid import UUID

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from contracts.errors import BrokerUnavailable, broker_error

_NOBODY: Final = bytes(16)


class _Uuid(AbstractType[bytes]):  # type: ignore[misc]  # aiokafka says nothing of its types
    """16 bytes as they are."""

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(16)


class _Response(Response):  # type: ignore[misc]  # aiokafka says nothing of its types
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_operations", Int32),
        ("tags", TaggedFields),
    )


class _RequestV10(RequestStruct):  # type: ignore[misc]  # aiokafka says nothing of its types
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic_id", _Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields)),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_operations", Boolean),
        ("include_topic_operations", Boolean),
        ("tags", TaggedFields),
    )


class _MetadataRequest(Request[_RequestV10]):  # type: ignore[misc]  # aiokafka says nothing of its types
    API_KEY = 3

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def build(self, request_struct_class: type[_RequestV10]) -> _RequestV10:
        return request_struct_class([(_NOBODY, self._topic, {})], False, False, False, {})


async def identify(client: AIOKafkaClient, topic: str) -> tuple[str, tuple[int, ...]]:
    """The topic's id, as a UUID's text, and its partitions. Raises BrokerUnavailable, also while it does not exist."""
    try:
        node = client.get_random_node()
        if node is None:
            raise BrokerUnavailable("no broker is known yet")
        response = await client.send(node, _MetadataRequest(topic))
        (found,) = response.topics
        code, _, topic_id, _, partitions, *_ = found
        if code:
            raise for_code(code)(topic)
        if topic_id == _NOBODY or not partitions:
            raise UnknownTopicOrPartitionError(topic)
    except KafkaError as exc:
        raise broker_error(exc, "the topic's id cannot be asked for") from exc
    return str(UUID(bytes=topic_id)), tuple(sorted(part[1] for part in partitions))
