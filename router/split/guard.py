"""The wall around each item: whatever goes wrong inside one, its neighbours never notice. DESIGN.md section 4.5."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, TypeVarTuple, Unpack

from contracts.errors import ContractViolation
from router.split.item import AccountKey, BadItem, Item
from router.split.json_body import nests_deeper_than, to_json

DEFECT: Final = "defect"
DEEPEST: Final = 200
"""Levels of nesting in an event's `data`. orjson, and readers in other languages, give up soon after."""

MOST_REPEATED: Final = 16 << 20
"""Bytes that the items of one delivery may repeat of what surrounds them. Of four mebibytes of Meta's smallest items, with
all that Meta puts around them, less than half of it; without a bound, a body of four mebibytes could become 300 GB."""
SMALL: Final = 12 << 10
"""A body of fewer bytes cannot repeat that much."""

_OURS: Final = ("router.", "contracts.")

Arguments = TypeVarTuple("Arguments")


@dataclass(slots=True)
class Parts:
    """What a delivery has been split into so far, in its order."""

    doubts_depth: bool
    """The body as a whole is too deep to serialise: look at every item."""
    large: bool = True
    """The body has SMALL bytes or more: what is repeated is counted."""
    found: list[Item | BadItem] = field(default_factory=list)
    repeated: int = 0

    def may_repeat(self, times: int, *around: object) -> bool:
        """Whether so many items may each repeat what surrounds them. If not, the part that holds them is set aside."""
        if not self.large or times < 2:
            return True
        repeated = self.repeated + times * sum(len(to_json(one)) for one in around)
        if repeated > MOST_REPEATED:
            return False
        self.repeated = repeated
        return True

    def bad(self, path: str, account: AccountKey | None = None, reason: str = ContractViolation.code) -> None:
        """Set aside one part that cannot be read."""
        self.found.append(BadItem(path, reason, account))

    def add(
        self,
        path: str,
        account: AccountKey | None,
        build: Callable[[Unpack[Arguments]], Item],
        *args: *Arguments,
    ) -> None:
        """Build one item; an exception becomes a bad item with type and frames only."""
        try:
            item = build(*args)
        except Exception as exc:  # a defect sets one item aside, its neighbours go on
            self.found.append(_failed(path, account, exc))
            return
        if self.doubts_depth and nests_deeper_than(item.data, DEEPEST):
            self.bad(path, account)
        else:
            self.found.append(item)

    def walk(
        self,
        path: str,
        account: AccountKey | None,
        visit: Callable[[Parts, Unpack[Arguments]], None],
        *args: *Arguments,
    ) -> None:
        """Let `visit` add the parts inside `path`; an exception in it sets the rest of that part aside."""
        try:
            visit(self, *args)
        except Exception as exc:  # a defect sets one part aside, its neighbours go on
            self.found.append(_failed(path, account, exc))


def _failed(path: str, account: AccountKey | None, exc: Exception) -> BadItem:
    if isinstance(exc, RecursionError):  # Only input nested beyond reason recurses here.
        return BadItem(path, ContractViolation.code, account)
    return BadItem(path, DEFECT, account, (type(exc).__name__, *_frames(exc.__traceback__)))


def _frames(traceback: TracebackType | None) -> list[str]:
    frames = []
    while traceback is not None:
        module = traceback.tb_frame.f_globals.get("__name__", "")
        if module.startswith(_OURS):
            frames.append(f"{module}:{traceback.tb_frame.f_code.co_name}:{traceback.tb_lineno}")
        traceback = traceback.tb_next
    return frames
