"""Offset tracking for one partition: the committed offset never passes an unfinished record. Pure."""

from __future__ import annotations

from collections import deque


class OffsetTracker:
    """Records begin in offset order and finish in any order."""

    def __init__(self) -> None:
        self._open: deque[int] = deque()
        self._finished: set[int] = set()
        self._commit: int | None = None

    def begin(self, offset: int) -> None:
        """A record was taken up. Raises ValueError unless offsets rise."""
        if self._open and offset <= self._open[-1]:
            raise ValueError("offsets must rise")
        self._open.append(offset)

    def finish(self, offset: int) -> None:
        """The record's every output is acknowledged."""
        self._finished.add(offset)
        while self._open and self._open[0] in self._finished:
            first = self._open.popleft()
            self._finished.discard(first)
            self._commit = first + 1

    @property
    def commit(self) -> int | None:
        """The next offset to read after a restart, or None if nothing was finished yet."""
        return self._commit

    @property
    def unfinished(self) -> int:
        """How many records were begun and are not finished, or finished behind one that is not."""
        return len(self._open)
