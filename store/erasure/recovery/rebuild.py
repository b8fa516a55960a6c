"""After a restore: steps from fences, jobs from outcomes, before any request runs. PRIVACY.md section 3 "Restore gate".

Requests themselves are read again, since their position is in the same database. One that was told to be at its end does
not run again; one that was executing goes on, and what stands in its steps takes no second effect. Must never put a job
back, nor take a state from an outcome that erasure did not sign.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiokafka.structs import ConsumerRecord

from contracts.errors import TamperedRecord
from contracts.outcomes import Outcome, State, decode
from contracts.signing import SignerLookup
from runtime import logging
from runtime.kafka.topic_log import Bounds, TopicLog
from store.audit.log import AuditEntry, What, append
from store.database import statements, translated
from store.lanes.gate import FenceGate

if TYPE_CHECKING:
    from store.database import Connection

SQL: Final = statements(Path(__file__).with_name("rebuild.sql"))
_AT_ONCE: Final = 500
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNDECIDED: Final = ("received", "identity_pending", "decided")
BEFORE: Final[dict[State, tuple[str, ...]]] = {
    # Whatever was only decided is decided again: what a decision says (when, after whose approval) is not told.
    State.REFUSED: _UNDECIDED,
    State.EXECUTING: _UNDECIDED,
    State.LIVE_ERASED: (*_UNDECIDED, "executing"),
    State.ANSWERED: (*_UNDECIDED, "executing", "live_erased"),
}
"""States that are taken from outcomes, and those that come before each."""


@dataclass(slots=True)
class _Taken:
    """What one stretch of outcomes changed."""

    forward: int = 0
    remembered: int = 0
    refused: int = 0


class Rebuilder:
    """One for the process: what each new connection of erasure goes through before it executes anything."""

    def __init__(self, gate: FenceGate, log: TopicLog, signers: SignerLookup, by: str) -> None:
        """`log`: of the outcomes topic. `by`: erasure's signer name, for the audit log."""
        self._gate, self._topic, self._signers, self._by = gate, log, signers, by

    async def admit(self, connection: Connection) -> None:
        """Return when this connection's database has every fence and no job that was told to be further.

        Outside a transaction, as the login. Raises GateClosed, BrokerUnavailable, DatabaseUnavailable or LockTimeout.
        """
        await self._gate.admit(connection)
        bounds = await self._topic.bounds()
        with translated():
            rows = await connection.fetch(SQL["positions"])
        known = {row["partition"]: (row["topic_id"], row["next_offset"]) for row in rows}
        for partition, (first, end) in bounds.partitions.items():
            topic_id, at = known.get(partition, (bounds.topic_id, first))
            if topic_id != bounds.topic_id or not first <= at <= end:
                at = first  # another topic, or a log that lost its end: read anew, nothing goes back by it
            if at < end or partition not in known:
                await self._read(connection, bounds, partition, at, end)

    async def _read(
        self, connection: Connection, bounds: Bounds, partition: int, first: int, end: int
    ) -> None:
        at, stretch = first, list[Outcome]()
        taken = _Taken()
        if first < end:
            async with aclosing(self._topic.read(partition, first, end)) as records:
                async for record in records:
                    at = record.offset + 1
                    outcome = self._outcome(record, taken)
                    if outcome is not None:
                        stretch.append(outcome)
                    if len(stretch) >= _AT_ONCE:
                        await self._take(connection, bounds, partition, at, stretch, taken)
                        stretch = []
        await self._take(connection, bounds, partition, end, stretch, taken)
        if taken.forward or taken.remembered or taken.refused:
            logging.get_logger().warning(
                "jobs.rebuilt", partition=partition, count=taken.forward + taken.remembered, next_offset=end
            )

    def _outcome(self, record: ConsumerRecord, taken: _Taken) -> Outcome | None:
        """None for a state that says nothing, and for what erasure did not sign: the request then runs, which harms nobody."""
        try:
            outcome = decode(record.key or b"", record.value or b"", tuple(record.headers), self._signers)
        except TamperedRecord as exc:
            taken.refused += 1
            logging.get_logger().error(
                "outcome.refused", exc=exc, partition=record.partition, offset=record.offset
            )
            return None
        return outcome if outcome.state in BEFORE else None

    async def _take(
        self,
        connection: Connection,
        bounds: Bounds,
        partition: int,
        next_offset: int,
        outcomes: list[Outcome],
        taken: _Taken,
    ) -> None:
        forward = remembered = 0
        with translated():
            async with connection.transaction():
                for outcome in outcomes:
                    given = _arguments(outcome)
                    if await connection.execute(SQL["forward"], *given) == "UPDATE 1":
                        forward += 1
                    elif await connection.execute(SQL["remember"], *given) == "INSERT 0 1":
                        remembered += 1
                await connection.execute(SQL["move"], partition, bounds.topic_id, next_offset)
                if forward or remembered:
                    numbers = {
                        "partition": partition,
                        "offset": next_offset,
                        "forward": forward,
                        "remembered": remembered,
                    }
                    await append(connection, AuditEntry(What.JOBS_REBUILT, self._by, numbers=numbers))
        taken.forward += forward
        taken.remembered += remembered


def _arguments(outcome: Outcome) -> list[Any]:
    return [
        outcome.request,
        outcome.state.value,
        _moment(outcome.at_ms),
        None if outcome.executed_at_ms is None else _moment(outcome.executed_at_ms),
        None if outcome.decided_at_ms is None else _moment(outcome.decided_at_ms),
        None if outcome.reason is None else outcome.reason.value,
        outcome.due_on,
        outcome.irrecoverable_on,
        outcome.receipt,
        list(BEFORE[outcome.state]),
    ]


def _moment(unix_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=unix_ms)
