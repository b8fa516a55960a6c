"""Gives the memory of large bodies back to the machine: glibc would keep it, in many pieces, for ever.

Does nothing where the C library is another. Must never touch what is in use.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Final

_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
MAPPED_FROM_BYTES: Final = 256 * 1024
"""From this size on an allocation is a mapping of its own, and gone when it is freed. Left to itself glibc raises the
bound to 32 MiB with the first large body, and 64 bodies of 4 MB left 224 MiB behind (docs/measurements.md)."""
_ARENAS: Final = 2
"""Heaps of which threads take one: those that compress large blocks would get one each."""


def _glibc() -> Any:
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018  # another C library has none
    except (OSError, AttributeError):
        return None
    return library


_LIBRARY: Final = _glibc()


def bound_heaps() -> None:
    """Once, at the start, before there are threads."""
    if _LIBRARY is not None:
        _LIBRARY.mallopt(_M_MMAP_THRESHOLD, MAPPED_FROM_BYTES)
        _LIBRARY.mallopt(_M_ARENA_MAX, _ARENAS)


class Trim:
    """Gives free memory back once large bodies have come and gone."""

    def __init__(self, give_back: Callable[[], None] | None = None) -> None:
        self._give_back = give_back or _give_back
        self._is_due = False

    def large_seen(self) -> None:
        """A large body is here."""
        self._is_due = True

    def tend(self, *, is_quiet: bool) -> None:
        """Call every second or so; `is_quiet`: nothing large is here now."""
        if self._is_due and is_quiet:
            self._is_due = False
            self._give_back()


def _give_back() -> None:
    if _LIBRARY is not None:
        _LIBRARY.malloc_trim(0)
