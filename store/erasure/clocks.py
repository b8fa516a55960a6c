"""How far the database's clock and the broker's are apart, measured on acknowledgements: an execution needs both.

Events are dated by the broker that took their raw record, executions by the database. Each acknowledged outcome has the
broker's time (LogAppendTime), and the database is asked before and after: the difference lies between two bounds. Must
never take a producer's own time for the broker's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from contracts.errors import TransientError

if TYPE_CHECKING:
    from aiokafka.structs import RecordMetadata

LIMIT: Final = timedelta(seconds=1)
MEASURE_AGAIN_S: Final = 1.0
"""A measurement younger than that is not repeated."""
_GOOD_FOR_S: Final = 10.0
_DRIFT: Final = 0.001
"""What two clocks that are being slewed, 500 ppm each, come apart in a second."""
_LOG_APPEND_TIME: Final = 1
_TICK: Final = timedelta(milliseconds=1)
"""Kafka's times are floored to it."""


class ClocksApart(TransientError):
    """Database and broker are further apart than allowed, or nobody knows how far: an execution would be dated wrongly."""

    code = "clocks_apart"


@dataclass(frozen=True, slots=True)
class Difference:
    """The database's time less the broker's is at least `low` and at most `high`; positive: the broker is behind."""

    low: timedelta
    high: timedelta

    @property
    def uncertainty(self) -> timedelta:
        """Between the bounds: the round trip, and Kafka's tick."""
        return self.high - self.low

    @property
    def largest(self) -> timedelta:
        """The most that they can be apart, in either direction."""
        return max(abs(self.low), abs(self.high))

    @property
    def received_until(self) -> timedelta:
        """What to add to the database's time of an execution: no record that was there then has a later broker time."""
        return -self.low

    @property
    def live_after(self) -> timedelta:
        """What to add to it for the watermark: whatever is taken from then on has a later broker time than `received_until`
        says, also where either is rounded to a millisecond."""
        return self.uncertainty + 2 * _TICK


def between(before: datetime, broker: datetime, after: datetime) -> Difference:
    """`broker`: the broker's time, floored to a millisecond, of a moment between the database's `before` and `after`."""
    return Difference(before - broker - _TICK, after - broker)


class BrokerClock:
    """What one process knows of the difference. `limit`: above it nothing is executed."""

    def __init__(self, limit: timedelta = LIMIT) -> None:
        self.limit = limit
        self._seen: Difference | None = None
        self._seen_at = 0.0
        self._heard_at = float("-inf")

    def is_due(self, monotonic_s: float) -> bool:
        """Whether the next acknowledgement should be measured."""
        return monotonic_s - self._heard_at >= MEASURE_AGAIN_S

    def hear(
        self, before: datetime, acknowledged: RecordMetadata, after: datetime, monotonic_s: float
    ) -> Difference | None:
        """An outcome was acknowledged between two times of the database; None if the record has no time of the broker's."""
        if acknowledged.timestamp_type != _LOG_APPEND_TIME:
            self._seen = None
            return None
        broker = datetime.fromtimestamp(0, before.tzinfo) + timedelta(milliseconds=acknowledged.timestamp)
        heard, seen = between(before, broker, after), self._seen
        self._heard_at = monotonic_s
        if (
            seen is None
            or monotonic_s - self._seen_at > _GOOD_FOR_S
            or heard.uncertainty <= seen.uncertainty
            # A clock was set: the old bounds and the new ones have nothing in common.
            or heard.low > seen.high
            or heard.high < seen.low
        ):
            self._seen, self._seen_at = heard, monotonic_s
        return self._seen

    def is_wanted(self, monotonic_s: float) -> bool:
        """Whether an execution cannot go by what was heard, and hearing again may help."""
        if self._seen is None or monotonic_s - self._seen_at > _GOOD_FOR_S:
            return True
        return self._seen.largest > self.limit and self.is_due(monotonic_s)

    def difference(self, monotonic_s: float) -> Difference:
        """What an execution goes by. Raises ClocksApart."""
        age_s = monotonic_s - self._seen_at
        if self._seen is None or age_s > _GOOD_FOR_S:
            raise ClocksApart("nobody knows how far the clocks are apart")
        if self._seen.largest > self.limit:
            raise ClocksApart("the broker's clock and the database's are too far apart")
        drift = timedelta(seconds=_DRIFT * age_s)
        return Difference(self._seen.low - drift, self._seen.high + drift)
