"""Topics on a real Kafka: made as declared, and told apart from what was declared."""

from __future__ import annotations

import pytest

from contracts import topics
from deploy.local.stack import LocalStack
from runtime.kafka.topics import TopicAdmin, TopicSettings

pytestmark = [pytest.mark.kafka]


def custodian_of(stack: LocalStack, *, retention_ms: int | None = None) -> TopicAdmin:
    """As the custodian makes and compares topics."""
    settings = TopicSettings(retention_ms=retention_ms)
    return TopicAdmin(stack.endpoints.kafka, settings, stack.endpoints.kafka_tls("custodian"))


async def test_declared_topics_are_made_once_and_then_match(stack: LocalStack) -> None:
    specs = (*topics.STATIC_TOPICS, *topics.slot_topics("topictest1", 8))
    async with custodian_of(stack) as admin:
        await admin.ensure(specs)
        assert await admin.ensure(specs) == []
        assert await admin.differences(topics.slot_topics("topictest1", 8)) == []


async def test_another_retention_another_count_and_a_missing_topic_are_each_named(stack: LocalStack) -> None:
    made, absent = topics.slot_topics("topictest2", 1), topics.slot_topics("topictest3", 1)
    async with custodian_of(stack) as admin:
        await admin.ensure(made)
        assert await admin.differences(topics.slot_topics("topictest2", 8)) == [
            f"{made[0].name}: 1 partitions, declared 8"
        ]
        assert await admin.differences(absent) == [f"{spec.name}: missing" for spec in absent]
    async with custodian_of(stack, retention_ms=1234) as admin:
        found = await admin.differences(made[:1])
    assert found == [f"{made[0].name}: retention.ms is {72 * topics.HOUR_MS}, declared 1234"]
