"""The last step of each raw record: quarantine acknowledged, ledger line acknowledged, then its offset may move.

Records that complete at the same moment are finished together. Must never mark a record finished before every
acknowledgement is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from aiokafka.structs import RecordMetadata

from contracts import topics
from contracts.errors import TransientError
from contracts.signing import Signer
from router.endings import RecordEndings
from router.pacing import backoff_s
from router.quarantine import quarantine_record
from runtime import logging
from runtime.kafka.clients import Producer, acknowledged


class Finisher:
    """Takes completed records; calls `on_finished` for each once its line is durable."""

    def __init__(
        self,
        producer: Producer,
        signer: Signer,
        on_finished: Callable[[RecordEndings], None],
        on_set_aside: Callable[[RecordEndings, RecordMetadata], None],
    ) -> None:
        self._producer = producer
        self._signer = signer
        self._on_finished = on_finished
        self._on_set_aside = on_set_aside
        self._completed: list[RecordEndings] = []
        self._wake = asyncio.Event()

    def completed(self, endings: RecordEndings) -> None:
        """Every item of this record has ended."""
        self._completed.append(endings)
        self._wake.set()

    async def run(self) -> None:
        """Finish records for as long as the process lives; a record the broker refuses stops the process."""
        attempt = 0
        waiting: list[RecordEndings] = []
        while True:
            if not waiting and not self._completed:
                self._wake.clear()
                await self._wake.wait()
            waiting += self._completed
            self._completed = []
            waiting = [endings for endings in waiting if not endings.dropped]
            try:
                await self._write(waiting)
            except TransientError as exc:
                if attempt in (0, 10):
                    logging.get_logger().warning("ledger.waiting", exc=exc, records=len(waiting))
                await asyncio.sleep(backoff_s(attempt))
                attempt += 1
                continue
            attempt = 0
            for endings in waiting:
                if not endings.dropped:
                    self._on_finished(endings)
            waiting = []

    async def _write(self, waiting: Sequence[RecordEndings]) -> None:
        setting_aside = []
        for endings in waiting:
            if endings.bad and not endings.quarantined:
                key, value, headers = quarantine_record(
                    endings.record, endings.origin, endings.bad, self._signer
                )
                future = await self._producer.send(topics.QUARANTINE_RAW, value, key=key, headers=headers)
                setting_aside.append((endings, future))
        for endings, future in setting_aside:
            where = await acknowledged(future)
            endings.quarantined = True
            self._on_set_aside(endings, where)
        futures = []
        for endings in waiting:
            line = endings.line()
            futures.append(
                await self._producer.send(topics.LEDGER, line.model_dump_json().encode(), key=line.key)
            )
        for future in futures:
            await acknowledged(future)
