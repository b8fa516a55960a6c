"""A receiver of its own for each test that asks for one, on the run's Kafka."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts import topics
from deploy.local.stack import LocalStack
from runtime.kafka.topics import TopicAdmin, TopicSettings
from tests.integration.ingest.receiver_process import Receiver, receiver_in


@pytest.fixture
def receiver(stack: LocalStack, tmp_path: Path) -> Iterator[Receiver]:
    """Prepared and not started; the topics that it writes to exist."""
    tls = stack.endpoints.kafka_tls("custodian")

    async def topics_exist() -> None:
        async with TopicAdmin(stack.endpoints.kafka, TopicSettings(), tls) as admin:
            await admin.ensure(topics.BY_NAME[name] for name in (topics.RAW, topics.ERASURE_REQUESTS))

    asyncio.run(topics_exist())
    with receiver_in(tmp_path, stack.endpoints) as prepared:
        yield prepared
