"""Puts a tenant's items back by itself once that tenant works again (DESIGN.md section 8): not counted as a replay.

Remembers where they lie in quarantine, never the records. What a router that died remembered is left to
`mkc quarantine replay --reason tenant_unavailable`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
from collections.abc import Callable
from typing import Final, Protocol
from uuid import UUID

from aiokafka.structs import RecordMetadata

from contracts import topics
from contracts.errors import PermanentError, TenantUnavailable, TransientError
from contracts.signing import Right, Signer, SignerLookup
from router.endings import RecordEndings
from router.pacing import backoff_s
from router.quarantine import delivery_of
from runtime import logging
from runtime.kafka.clients import Producer
from runtime.kafka.quarantine import put_back, read_one

REMEMBERED: Final = 100_000
"""Quarantine records at most; older ones are left to the operator."""


class Availability(Protocol):
    """Who knows whether a tenant works."""

    def is_unavailable(self, tenant: UUID) -> bool:
        """True while its items are set aside."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    partition: int
    offset: int
    paths: frozenset[str]


class PutBack:
    """What was set aside as `tenant_unavailable`, by tenant; `run` puts it back after `recovered`."""

    def __init__(
        self,
        kafka: str,
        producer: Producer,
        signer: Signer,
        lookup: SignerLookup,
        availability: Callable[[], Availability],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._tls = tls
        self._kafka, self._producer, self._signer, self._lookup = kafka, producer, signer, lookup
        self._availability = availability
        self._places: dict[UUID, list[_Place]] = {}
        self._remembered = 0
        self._wake = asyncio.Event()

    def set_aside(self, endings: RecordEndings, where: RecordMetadata) -> None:
        """A quarantine record is durable: remember what of it waits for a tenant."""
        for tenant, paths in endings.unavailable.items():
            if self._remembered >= REMEMBERED:
                return
            self._remembered += 1
            # A record with very many names their deliveries instead (`router.quarantine`).
            named = frozenset(paths).union(map(delivery_of, paths))
            place = _Place(where.partition, where.offset, named)
            self._places.setdefault(tenant, []).append(place)
            self._wake.set()

    def recovered(self, _tenant: UUID) -> None:
        """A tenant works again."""
        self._wake.set()

    async def run(self) -> None:
        """Put back for as long as the process lives, in the order in which it was set aside."""
        attempt = 0
        while True:
            await self._wake.wait()
            self._wake.clear()
            for tenant in [one for one in self._places if not self._availability().is_unavailable(one)]:
                places = self._places.pop(tenant)
                self._remembered -= len(places)
                while places and not self._availability().is_unavailable(tenant):
                    try:
                        await self._put_back(places[0])
                    except TransientError as exc:
                        logging.get_logger().warning("replay.waiting", exc=exc, tenant=str(tenant))
                        await asyncio.sleep(backoff_s(attempt))
                        attempt += 1
                        continue
                    except PermanentError as exc:
                        logging.get_logger().error("replay.failed", exc=exc, tenant=str(tenant))
                    attempt = 0
                    places.pop(0)
                if places:
                    self._places.setdefault(tenant, [])[:0] = places
                    self._remembered += len(places)

    async def _put_back(self, place: _Place) -> None:
        one = await read_one(
            self._kafka,
            topics.QUARANTINE_RAW,
            place.partition,
            place.offset,
            self._lookup,
            Right.QUARANTINE_RAW,
            self._tls,
        )
        items = tuple(
            (path, reason)
            for path, reason in one.items
            if reason == TenantUnavailable.code and path in place.paths
        )
        if items:
            await put_back(dataclasses.replace(one, items=items), self._producer, self._signer, counted=False)
