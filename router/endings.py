"""What became of one raw record: every item ends exactly once, then the record is ready for its ledger line. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection
from uuid import UUID

from contracts.errors import TenantUnavailable
from contracts.ledger import RawLine, Refusal, TenantCounts
from router.open import Origin, RawRecord
from router.pacing import InFlight


class EndedTwice(AssertionError):
    """An item got a second ending: a defect of the router, which must stop rather than miscount."""


class RecordEndings:
    """Collects the endings of one record's items; calls `on_complete` once, when the last one has ended."""

    def __init__(
        self,
        record: RawRecord,
        origin: Origin,
        in_flight: InFlight,
        on_complete: Callable[[RecordEndings], None],
    ) -> None:
        self.record = record
        self.origin = origin
        self.deliveries = 0
        self.opened_bytes = 0
        """Of its deliveries."""
        self.bad: list[tuple[str, str]] = []
        """(item path, reason) of what goes to quarantine."""
        self.unavailable: dict[UUID, list[str]] = {}
        """Item paths by the tenant that could not be reached: put back when it can."""
        self.events = 0
        self.dropped = False
        """Its partition went to another router, which routes it again: whoever holds an item of it lets go."""
        self._in_flight = in_flight
        self.quarantined = False
        """Its quarantine record is acknowledged."""
        self._on_complete = on_complete
        self._open: set[int] = set()
        self._items = 0
        self._closed = False
        self._tenants: dict[str, TenantCounts] = {}

    def begin(self) -> int:
        """One more item; the number under which it ends."""
        number = self._items
        self._items += 1
        self._open.add(number)
        self._in_flight.items += 1
        return number

    def close(self) -> None:
        """No further item will begin."""
        self._closed = True
        self._complete_if_ended()

    def published(self, numbers: Collection[int], tenant: UUID) -> None:
        """These items are events, acknowledged on the tenant's topic."""
        ended = len(numbers)
        left = len(self._open) - ended
        self._open.difference_update(numbers)
        if len(self._open) != left:
            raise EndedTwice("an item ended twice")
        if not self.dropped:
            self._in_flight.ended(ended)
        self._counts(tenant).events += ended
        self.events += ended
        self._complete_if_ended()

    def set_aside(self, number: int, path: str, reason: str, tenant: UUID | None = None) -> None:
        """This item goes to quarantine (acknowledged there before the record gets its line)."""
        self._end(number)
        self.bad.append((path, reason))
        if reason == TenantUnavailable.code and tenant is not None:
            self.unavailable.setdefault(tenant, []).append(path)
        quarantined = self._counts(tenant).quarantined
        quarantined[reason] = quarantined.get(reason, 0) + 1
        self._complete_if_ended()

    def refused(self, number: int, reason: Refusal, tenant: UUID | None = None) -> None:
        """This item is counted and not kept."""
        self._end(number)
        refused = self._counts(tenant).refused
        refused[reason.value] = refused.get(reason.value, 0) + 1
        self._complete_if_ended()

    def line(self) -> RawLine:
        """The ledger line. Call after completion."""
        return RawLine.model_construct(
            kind="raw",
            topic=self.record.topic,
            partition=self.record.partition,
            offset=self.record.offset,
            replay=self.origin.replay,
            deliveries=self.deliveries,
            items=self._items,
            tenants=self._tenants,
        )

    @property
    def tenants(self) -> dict[str, TenantCounts]:
        """Counts by tenant id; "" is nobody's."""
        return self._tenants

    def _counts(self, tenant: UUID | None) -> TenantCounts:
        name = "" if tenant is None else str(tenant)
        counts = self._tenants.get(name)
        if counts is None:
            counts = self._tenants[name] = TenantCounts()
        return counts

    def _end(self, number: int) -> None:
        if number not in self._open:
            raise EndedTwice("an item ended twice")
        self._open.discard(number)
        if not self.dropped:
            self._in_flight.ended(1)

    @property
    def unended(self) -> int:
        """Items that have not ended."""
        return len(self._open)

    def _complete_if_ended(self) -> None:
        if self._closed and not self._open:
            self._closed = False
            self._on_complete(self)
