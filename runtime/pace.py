"""Token buckets by key: how often one address, or one cause, is served. Pure; the time is an argument.

Must never remember more keys than it was told to, nor a key in plain where the caller gave a hash.
"""

from __future__ import annotations

from collections import OrderedDict


class Pace:
    """At most `burst` at once and `per_s` a second for each key; of more than `most` keys the longest silent is forgotten."""

    def __init__(self, per_s: float, burst: float, most: int = 10_000) -> None:
        self._per_s, self._burst, self._most = per_s, burst, most
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, now: float) -> bool:
        """One more of `key` at `now` (monotonic seconds); False if that is too many."""
        left, seen = self._left.pop(key, (self._burst, now))
        left = min(self._burst, left + max(0.0, now - seen) * self._per_s)
        taken = left >= 1.0
        self._left[key] = (left - 1.0 if taken else left, now)
        if len(self._left) > self._most:
            self._left.popitem(last=False)
        return taken

    def __len__(self) -> int:
        return len(self._left)
