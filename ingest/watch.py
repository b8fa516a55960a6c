"""Files that may change while the process runs: looked at once a second, replaced only by content that can be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from contracts.errors import ServiceError
from runtime.logging import get_logger

T = TypeVar("T")
_Marks = tuple[tuple[int, int, int] | None, ...]


class Watched(Generic[T]):
    """A value made from files. `load` returns it with all files that it was made from, and raises ServiceError."""

    def __init__(
        self, name: str, load: Callable[[], tuple[T, tuple[Path, ...]]], initial: T | None = None
    ) -> None:
        """Without `initial` the first load must succeed; with it a failing one is retried by `poll`.

        Raises what `load` raises.
        """
        self._name = name
        self._load = load
        self._paths: tuple[Path, ...] = ()
        self._marks: _Marks = ()
        self.refusals = 0
        """How often new content could not be used and the old one stayed."""
        self._refused = False
        if initial is None:
            self.value, self._paths = load()
            self._marks = _marks_of(self._paths)
        else:
            self.value = initial
            self._refused = True
            self.poll()

    def poll(self) -> bool:
        """Load again if a file changed or the last content was refused; True if there is a new value."""
        marks = _marks_of(self._paths)
        if marks == self._marks and not self._refused:
            return False
        first = not self._refused or marks != self._marks
        self._marks = marks
        try:
            value, paths = self._load()
        except ServiceError as exc:
            # A file that the new content names may come a moment later: try again at every look, report once.
            self._refused = True
            if first:
                self.refusals += 1
                get_logger().warning("file.refused", name=self._name, code=exc.code)
            return False
        self._paths = paths
        self._marks = _marks_of(paths)
        self._refused = False
        self.value = value
        get_logger().info("file.loaded", name=self._name)
        return True


def _marks_of(paths: tuple[Path, ...]) -> _Marks:
    marks: list[tuple[int, int, int] | None] = []
    for path in paths:
        try:
            found = path.stat()
        except OSError:
            marks.append(None)
        else:
            marks.append((found.st_mtime_ns, found.st_ino, found.st_size))
    return tuple(marks)
