"""What became of what a router under test was given: records of any topic, opened events, the ledger's lines.

Everything is looked at by the administrator, whose certificate may read all.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition

from contracts import topics
from contracts.headers import EK_STATEMENT
from contracts.ledger import RawLine
from contracts.sealing import RecordOpener
from contracts.signing import RIGHTS_BY_PROCESS, KnownSigner, Signer
from runtime.kafka.clients import consumer
from tests.support.plant_control import PlantTenant, Surroundings
from tests.support.waiting import until
from tests.support.world import LEAST_PATIENCE_S


def known(signer: Signer, process: str) -> KnownSigner:
    """The public half of a signer of that process."""
    return KnownSigner(signer.name, signer.public_raw, RIGHTS_BY_PROCESS[process])


@dataclass(frozen=True, slots=True)
class SeenEvent:
    """One opened record of a tenant's topic."""

    partition: int
    offset: int
    key: bytes
    headers: dict[str, bytes]
    data: Any

    @property
    def event_id(self) -> str:
        """`ce_id`."""
        return self.headers["ce_id"].decode()


class Watched(Surroundings):
    """The same with eyes on it."""

    @staticmethod
    async def until(condition: Callable[[], Any], timeout_s: float, what: str) -> Any:
        """Poll a coroutine function until it says something true; patient as `World.wait_until`."""
        return await until(condition, what, max(timeout_s, LEAST_PATIENCE_S))

    async def records(self, topic: str) -> list[Any]:
        """Every record of a topic up to its present end."""
        reader = consumer(self.kafka, "plant-reader", group=None, tls=self.endpoints.kafka_tls())
        await reader.start()
        try:
            numbers = reader.partitions_for_topic(topic) or set()
            if not numbers:
                await reader._client.force_metadata_update()
                cluster = await reader._client.fetch_all_metadata()
                numbers = cluster.partitions_for_topic(topic) or set()
            assigned = [TopicPartition(topic, number) for number in sorted(numbers)]
            reader.assign(assigned)
            begin = await reader.beginning_offsets(assigned)
            end = await reader.end_offsets(assigned)
            for at in assigned:
                reader.seek(at, begin[at])
            found: list[Any] = []
            while any([await reader.position(at) < end[at] for at in assigned]):
                for batch in (await reader.getmany(timeout_ms=200)).values():
                    found += batch
            return found
        finally:
            await reader.stop()

    async def events(self, tenant: PlantTenant) -> list[SeenEvent]:
        """Every event on the tenant's topic, opened with its private half."""
        ours = {"router": known(self.router_signer, "router")}
        halves = {tenant.private.public.key_id: tenant.private}
        opener = RecordOpener(halves.get, ours.get)
        seen = []
        for record in await self.records(tenant.topic):
            opened = opener.open(
                tenant.topic, record.value, record.headers, broker_time_s=record.timestamp / 1000
            )
            assert opened.statement.tenant == tenant.tenant
            headers = {name: value for name, value in record.headers if name != EK_STATEMENT}
            seen.append(
                SeenEvent(record.partition, record.offset, record.key, headers, json.loads(opened.plaintext))
            )
        return seen

    async def lines(self) -> dict[tuple[int, int], RawLine]:
        """The ledger's raw lines by (partition, offset); the last of each counts."""
        found = {}
        for record in await self.records(topics.LEDGER):
            if json.loads(record.value)["kind"] == "raw":
                line = RawLine.model_validate_json(record.value)
                assert record.key == line.key
                found[line.partition, line.offset] = line
        return found

    async def line(self, offset: int, *, partition: int = 0, timeout_s: float = 10) -> RawLine:
        """The line of one raw record, once it is there; it balances."""

        async def there() -> RawLine | None:
            return (await self.lines()).get((partition, offset))

        line: RawLine = await self.until(there, timeout_s, f"the line of offset {offset}")
        assert line.ended() == line.items
        return line

    async def lines_of(self, sent: Sequence[tuple[int, int]], timeout_s: float = 30) -> list[RawLine]:
        """The lines of all these (partition, offset), once they are there; they balance."""

        async def all_there() -> dict[tuple[int, int], RawLine] | None:
            lines = await self.lines()
            return lines if lines.keys() >= set(sent) else None

        lines: dict[tuple[int, int], RawLine] = await self.until(all_there, timeout_s, "all lines")
        assert all(line.ended() == line.items for line in lines.values())
        return [lines[one] for one in sent]
