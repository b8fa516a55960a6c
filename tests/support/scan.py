"""Looks for canaries in every byte that is kept: files of Kafka and Postgres, logs, and records as a client reads them."""

import asyncio
from base64 import b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from deploy.local.demo.checks import forms_of

_CHUNK: Final = 1 << 20


def needles(canary: str) -> tuple[bytes, ...]:
    """The forms in which a canary could stand somewhere: UTF-8, JSON escapes, hex, base64 at each alignment."""
    raw = canary.encode()
    found = {*forms_of(canary), raw.hex().encode(), raw.hex().upper().encode()}
    for shift in range(3):
        encoded = b64encode(b"\0" * shift + raw)
        # The first and last characters depend on the neighbours.
        found.add(encoded[(0, 2, 3)[shift] : len(encoded) // 4 * 4 - 4])
    return tuple(sorted(form for form in found if len(form) >= 6))


def in_files(folders: Iterable[Path], canaries: Iterable[str]) -> list[str]:
    """`file: number of the canary` for each finding."""
    forms = [needles(canary) for canary in canaries]
    return [
        f"{path}: canary {number}"
        for path, content in _files(folders)
        for number, wanted in enumerate(forms)
        if any(form in content for form in wanted)
    ]


def in_text(text: str, canaries: Iterable[str]) -> list[int]:
    """Numbers of the canaries that stand in a text."""
    content = text.encode()
    return [
        number for number, canary in enumerate(canaries) if any(form in content for form in needles(canary))
    ]


async def in_records(bootstrap: str, canaries: Iterable[str]) -> tuple[int, list[str]]:
    """How many records all of our topics hold, and `topic:partition:offset: number` for each finding in one."""
    forms = [needles(canary) for canary in canaries]
    found: list[str] = []
    count = 0
    parts = await _partitions(bootstrap)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="none", enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts)
        starts = await consumer.beginning_offsets(parts)
        for part in parts:
            consumer.seek(part, starts[part])
        left = {part for part in parts if starts[part] < ends[part]}
        async with asyncio.timeout(30):
            while left:
                for part, records in (await consumer.getmany(*left, timeout_ms=300)).items():
                    for record in records:
                        count += 1
                        fields = [record.key or b"", record.value or b""]
                        fields += [name.encode() + value for name, value in record.headers]
                        content = b"\n".join(fields)
                        found += [
                            f"{part.topic}:{part.partition}:{record.offset}: canary {number}"
                            for number, wanted in enumerate(forms)
                            if any(form in content for form in wanted)
                        ]
                left = {part for part in left if await consumer.position(part) < ends[part]}
    finally:
        await consumer.stop()
    return count, found


async def _partitions(bootstrap: str) -> list[TopicPartition]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        names = [name for name in await admin.list_topics() if name.startswith("mk.")]
        described = await admin.describe_topics(names)
    finally:
        await admin.close()
    return [
        TopicPartition(topic["topic"], part["partition"])
        for topic in described
        for part in topic["partitions"]
    ]


def _files(folders: Iterable[Path]) -> Iterator[tuple[Path, bytes]]:
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                try:
                    yield path, _content(path)
                except FileNotFoundError:
                    continue  # a server removed it meanwhile


def _content(path: Path) -> bytes:
    # Kafka's index files are sparse: megabytes of zeros.
    with path.open("rb") as file:
        return b"".join(chunk for chunk in iter(lambda: file.read(_CHUNK), b"") if chunk.strip(b"\0"))
