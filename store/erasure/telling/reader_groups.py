"""What downstream readers' consumer groups have committed, asked from Kafka each time. Joins no group and reads no record.

Must never leave out a group because it could not be asked: others would then speak for it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from collections.abc import Collection, Mapping

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.commit import OffsetFetchRequest

from contracts.access import groups_of
from contracts.errors import broker_error

_TIMEOUT_S = 10.0
Committed = Mapping[str, Mapping[int, int]]
"""By topic and partition: the next offset that a group reads."""


class ReaderGroups:
    """One client, made anew after a failure."""

    def __init__(self, bootstrap: str, client_id: str, tls: ssl.SSLContext | None = None) -> None:
        self._bootstrap, self._client_id, self._tls = bootstrap, client_id, tls
        self._client: AIOKafkaAdminClient | None = None
        self._known: dict[str, set[str]] = defaultdict(set)
        """A group whose coordinator is away is on no broker's list: whoever was seen once is asked for by name."""

    async def committed(self, readers: Collection[str]) -> dict[str, list[Committed]]:
        """What each group of each of these readers has committed. Raises BrokerUnavailable, also if one does not answer."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                client = await self._started()
                listed = [row[0] for row in await client.list_consumer_groups()]
                return {reader: await self._of(client, reader, listed) for reader in readers}
        except (KafkaError, TimeoutError) as exc:
            await self.stop()
            raise broker_error(exc, "readers' consumer groups cannot be asked") from exc

    async def stop(self) -> None:
        """Close; the next question opens again."""
        client, self._client = self._client, None
        if client is not None:
            await asyncio.wait([asyncio.ensure_future(_close_quietly(client))], timeout=2)

    async def _of(self, client: AIOKafkaAdminClient, reader: str, listed: Collection[str]) -> list[Committed]:
        known, prefix = self._known[reader], groups_of(reader)
        known |= {group for group in listed if group.startswith(prefix)}
        found = []
        for group in sorted(known):
            committed = await _offsets(client, group)
            if not committed and group not in listed:
                known.discard(group)  # deleted: its coordinator says so itself
            found.append(committed)
        return found

    async def _started(self) -> AIOKafkaAdminClient:
        if self._client is None:
            client = AIOKafkaAdminClient(
                bootstrap_servers=self._bootstrap,
                client_id=self._client_id,
                security_protocol="SSL" if self._tls else "PLAINTEXT",
                ssl_context=self._tls,
            )
            try:
                await client.start()
            except BaseException:
                await client.close()
                raise
            self._client = client
        return self._client


async def _offsets(client: AIOKafkaAdminClient, group: str) -> Committed:
    """aiokafka's own call takes an answer that is an error of the whole group for one without offsets."""
    coordinator = await client.find_coordinator(group)
    response = await client._send_request(OffsetFetchRequest(group, None), coordinator)
    if response.error_code:
        raise for_code(response.error_code)("a group's offsets cannot be asked")
    committed: dict[str, dict[int, int]] = {}
    for topic, partitions in response.topics:
        for partition, offset, _, error_code in partitions:
            if error_code:
                raise for_code(error_code)("a group's offsets cannot be asked")
            if offset >= 0:
                committed.setdefault(topic, {})[partition] = offset
    return committed


async def _close_quietly(client: AIOKafkaAdminClient) -> None:
    try:
        await client.close()
    except Exception:  # it is thrown away because it failed
        return
