"""Who has been erased, as far as a reader was told, and which events that covers. PRIVACY.md section 3."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from contracts.subject_erased import SubjectErased


@dataclass(frozen=True, slots=True)
class Erasure:
    """Up to when a pseudonym's events are erased: by their own second, or by their first receipt."""

    request: UUID
    watermark_s: int
    executed_at_ms: int

    def covers(self, occurred_s: int | None, received_at_ms: int) -> bool:
        """True for an event of the erased past; an undated one is judged by its receipt alone."""
        return received_at_ms <= self.executed_at_ms or (
            occurred_s is not None and occurred_s <= self.watermark_s
        )


class ErasedPeople(Protocol):
    """What the opener asks and tells. An owner that restarts keeps it durably, for 230 days after each erasure."""

    def remember(self, erased: SubjectErased) -> None:
        """Called for every `subject.erased`, also for one that was told before."""

    def erasures_of(self, pseudonym: bytes) -> Iterable[Erasure]:
        """The erasures of this pseudonym."""


class KnownErasures:
    """In memory: what was told since the start, and what the owner kept from before."""

    def __init__(self, kept: Iterable[SubjectErased] = ()) -> None:
        self._by_pseudonym: dict[bytes, Erasure] = {}
        for erased in kept:
            self.remember(erased)

    def remember(self, erased: SubjectErased) -> None:
        """Two erasures of one person join into one that covers what either does."""
        for text in erased.pseudonyms:
            pseudonym = bytes.fromhex(text)
            known = self._by_pseudonym.get(pseudonym)
            told = Erasure(erased.request, erased.watermark_s, erased.executed_at_ms)
            if known is not None:
                newer = max(told, known, key=lambda one: (one.executed_at_ms, one.watermark_s))
                told = Erasure(
                    newer.request,
                    max(known.watermark_s, told.watermark_s),
                    max(known.executed_at_ms, told.executed_at_ms),
                )
            self._by_pseudonym[pseudonym] = told

    def erasures_of(self, pseudonym: bytes) -> Iterable[Erasure]:
        """None or one."""
        known = self._by_pseudonym.get(pseudonym)
        return () if known is None else (known,)
