"""The wall around each item: whatever goes wrong inside one, its neighbours never notice. DESIGN.md section 4.5."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, TypeVarTuple, Unpack

from contracts.errors import ContractViolation
from router.split.item import AccountKey, BadItem, Item
from router.split.json_body import nests_deeper_than

DEFECT: Final = "defect"
DEEPEST: Final = 200
"""Levels of nesting in an event's `data`. orjson, and readers in other languages, give up soon after."""

_OURS: Final = ("router.", "contracts.")

Arguments = TypeVarTuple("Arguments")


@dataclass(slots=True)
class Parts:
    """What a delivery has been split into so far, in its order."""

    doubts_depth: bool
    """The body as a whole is too deep to serialise: look at every item."""
    found: list[Item | BadItem] = field(default_factory=list)

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
        except Exception as exc:
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
        except Exception as exc:
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
