"""Makes the class archive that halves Kafka's start: one training run whose loaded classes the JVM writes out."""

import asyncio
import fcntl
import socket
import tempfile
from contextlib import ExitStack
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local.kafka_libs import ensure_libs
from deploy.local.kafka_node import KafkaNode, archive_path

_TOPIC = "training"


def ensure_archive(cache: Path, version: str) -> Path:
    """The archive for this Kafka on this Java, made if there is none (about 8 s)."""
    ensure_libs(cache, version)
    archive = archive_path(cache, version)
    with (archive.parent / "archive.lock").open("a") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not archive.exists():
            _train(cache, version, archive)
    return archive


def _train(cache: Path, version: str, archive: Path) -> None:
    client_port, controller_port = _free_ports()
    with tempfile.TemporaryDirectory(prefix="kafka-training-") as folder:
        root = Path(folder)
        (root / "run").mkdir()
        draft = root / "kafka.jsa"
        node = KafkaNode(
            root,
            client_port=client_port,
            controller_port=controller_port,
            cache=cache,
            version=version,
            profile="run",
            jvm_options=[f"-XX:ArchiveClassesAtExit={draft}"],
        )
        node.start()
        try:
            asyncio.run(_exercise(node.bootstrap))
        finally:
            node.stop()
        if draft.exists():
            staged = archive.with_suffix(".new")
            staged.write_bytes(draft.read_bytes())
            staged.replace(archive)


async def _exercise(bootstrap: str) -> None:
    """Touch what every run touches: a topic, an idempotent producer, a consumer group with commits."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(_TOPIC, num_partitions=1, replication_factor=1)])
        async with asyncio.timeout(20):
            # A client that asks too early logs an error, which is the first thing that somebody new would read.
            while not await _is_led(admin):  # noqa: ASYNC110  # the client has no event for it
                await asyncio.sleep(0.05)
    finally:
        await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, acks="all") as producer:
        await producer.send_and_wait(_TOPIC, b"one")
    async with AIOKafkaConsumer(
        _TOPIC,
        bootstrap_servers=bootstrap,
        group_id="training",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    ) as consumer:
        async with asyncio.timeout(20):
            await consumer.getone()
        await consumer.commit()


async def _is_led(admin: AIOKafkaAdminClient) -> bool:
    (topic,) = await admin.describe_topics([_TOPIC])
    return topic["error_code"] == 0 and any(part["leader"] >= 0 for part in topic["partitions"])


def _free_ports() -> tuple[int, int]:
    # Ephemeral ports are good enough for seconds; both sockets are open at once so that they differ.
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(2)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        first, second = (int(probe.getsockname()[1]) for probe in probes)
    return first, second
