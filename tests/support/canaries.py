"""Canaries: strings that stand nowhere else, in every personal field of every event type's examples.

All canaries of a run share a few random cores, so that one search for a core in a form finds every canary in that form.
The cores of texts are letters and digits only: JSON's and URLs' escapes leave them as they are.
"""

from __future__ import annotations

import copy
import itertools
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, get_args

from pydantic import BaseModel

from contracts.events.declaration import model_of, privacy_of
from contracts.events.event import Privacy
from contracts.events.registry import EVENT_TYPES
from router.split.item import Item
from tests.support.bodies import INSTAGRAM, PAGE, PHONE_NUMBER_ID, WABA
from tests.support.corpus import TIMES
from tests.support.remade import Json, Remade, items_of

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[T ].*")
ADMINISTRATOR: Final = "170000000000042"
_OUR_IDS: Final = {
    "page": PAGE,
    "instagram": INSTAGRAM,
    "whatsapp_business_account": WABA,
    "permissions": ADMINISTRATOR,
    "user": ADMINISTRATOR,
}
_DIGITS_FROM: Final = 3
_LARGE_FROM: Final = 10**7


@dataclass(slots=True)
class Canaries:
    """The cores of one run, and the canaries made of them."""

    text_core: str
    digits_core: str
    phone_core: str
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @classmethod
    def drawn(cls) -> Canaries:
        """Fresh ones."""
        drawn = random.SystemRandom()
        letters = "".join(drawn.choice("bcdfghjkmnpqrstvwxz23456789") for _ in range(12))
        digits = "".join(drawn.choice("123456789") for _ in range(18))
        # A Brazilian mobile: 55, area 31, the ninth digit, then 6 to 9. Two digits are left to count with.
        return cls(f"kq{letters}", f"17{digits[:9]}", f"8{digits[12:17]}")

    @property
    def cores(self) -> dict[str, str]:
        """What every canary holds, by kind. A phone is known with and without its ninth digit."""
        return {
            "text": self.text_core,
            "digits": self.digits_core,
            "phone": f"55319{self.phone_core}",
            "phone without the ninth digit": f"5531{self.phone_core}",
        }

    def text(self) -> str:
        """A text that Meta would escape."""
        return f"{self.text_core}{next(self._numbers):04d} ação"

    def number(self) -> str:
        """15 digits."""
        return f"{self.digits_core}{next(self._numbers) % 10_000:04d}"

    def phone(self) -> str:
        """One of a hundred."""
        return f"55319{self.phone_core}{next(self._numbers) % 100:02d}"

    def like(self, value: str | int | float) -> list[str | int | float]:
        """What could stand in place of a value, the likeliest first; empty for one that is nobody's."""
        if isinstance(value, bool):
            return []
        if isinstance(value, float):
            return [float(f"-19.{self.digits_core}{next(self._numbers) % 100:02d}")]
        if isinstance(value, int):
            return [int(self.number())] if value >= _LARGE_FROM else []
        if not value or _TIME.fullmatch(value):
            return []
        if value.isdigit():
            if len(value) < _DIGITS_FROM:
                return []
            return [self.phone(), self.number()] if value.startswith("55") else [self.number(), self.phone()]
        core = f"{self.text_core}{next(self._numbers):04d}"
        if value.startswith(("http:", "https:")):
            return [f"https://example.com/{core}?x=1"]
        if value.startswith("wamid."):
            return [f"wamid.{core}"]
        if "@" in value:
            return [f"{core}@example.com"]
        prefix = re.match(r"(?:[a-zA-Z]{1,6}[._:])?", value)
        return [self.text(), core, f"{prefix.group() if prefix else ''}{core}"]

    def planted(self, remade: Remade) -> Remade:
        """The delivery of accounts of ours, with a canary in every place that can hold one and is the same event then."""
        body = _for_our_accounts(remade.body)
        found = items_of(body)
        assert found is not None
        kept = _shape(found)
        for holder in _holders(body):
            # A later release of Meta's may add a word anywhere.
            holder["new_word"] = self.text()
            now = items_of(body)
            if now is None or _shape(now) != kept:
                del holder["new_word"]
        for holder, name in _leaves(body):
            before = holder[name]
            for canary in self.like(before):
                holder[name] = canary
                now = items_of(body)
                if now is not None and _shape(now) == kept:
                    break
                holder[name] = before
        return Remade(remade.event_type, remade.example, body)

    def filled(self, model: type[BaseModel]) -> Json:
        """Data of an event with a canary in every personal field, whether or not Meta was ever seen to send it."""
        made: Json = {}
        for name, info in model.model_fields.items():
            inner = model_of(info.annotation)
            if inner is not None:
                one = self.filled(inner)
                made[name] = [one] if "tuple" in str(info.annotation) else one
            elif privacy_of(info) is Privacy.PERSONAL:
                made[name] = self._of(str(info.annotation))
            elif info.is_required():
                made[name] = "inbound" if name == "direction" else _public_value(info.annotation)
        return made

    def _of(self, annotation: str) -> Any:
        if "float" in annotation:
            return float(f"-19.{self.digits_core}{next(self._numbers) % 100:02d}")
        if "int" in annotation:
            return int(self.number())
        if "bool" in annotation:
            return True
        if "tuple" in annotation:
            return [self.text()]
        return {"canary": self.text()} if "dict" in annotation or "Any" in annotation else self.text()

    def in_value(self, value: object) -> bool:
        """Whether it holds a core."""
        text = str(value)
        return any(core in text for core in self.cores.values())


def _public_value(annotation: object) -> Any:
    words = get_args(annotation)
    if words and isinstance(words[0], str):
        return words[0]
    text = str(annotation)
    if "dict" in text:
        return {}
    return 1 if "int" in text else False if "bool" in text else "a word"


def _for_our_accounts(body: Json) -> Json:
    """The ids of accounts of ours instead of the example's, wherever they stand."""
    found = items_of(body)
    assert found is not None
    ours = _OUR_IDS.get(str(body["object"]))
    theirs: dict[str, str] = {}
    if ours is not None:
        for item in found:
            account = item.account
            if account is not None:
                theirs[account.value] = PHONE_NUMBER_ID if account.kind.value == "phone_number_id" else ours
                if account.waba is not None:
                    theirs[account.waba] = WABA
        theirs |= {
            str(entry[name]): ours for entry in body["entry"] for name in ("id", "uid") if name in entry
        }
    return dict(_replaced(copy.deepcopy(body), theirs))


def _replaced(node: Any, ids: dict[str, str]) -> Any:
    if isinstance(node, dict):
        return {name: _replaced(value, ids) for name, value in node.items()}
    if isinstance(node, list):
        return [_replaced(value, ids) for value in node]
    if isinstance(node, (str, int)) and not isinstance(node, bool) and str(node) in ids:
        return type(node)(ids[str(node)])
    return node


def _holders(body: Json) -> Iterator[Json]:
    """Each entry, and each thing in its lists."""
    for entry in body["entry"]:
        lists = [value for value in entry.values() if isinstance(value, list)]
        yield entry
        for element in itertools.chain.from_iterable(lists):
            if isinstance(element, dict):
                yield element
                yield from (value for value in element.values() if isinstance(value, dict))


def _leaves(body: Json) -> Iterator[tuple[Any, Any]]:
    """Holder and name of everything in the entries that is not an account's, a time or a structure's name."""
    ours = {*_OUR_IDS.values(), PHONE_NUMBER_ID}

    def walk(node: Any) -> Iterator[tuple[Any, Any]]:
        pairs = list(node.items()) if isinstance(node, dict) else list(enumerate(node))
        for name, value in pairs:
            if isinstance(value, (dict, list)):
                yield from walk(value)
            elif value is not None and name not in TIMES and str(value) not in ours:
                yield node, name

    yield from walk(body["entry"])


def _shape(items: list[Item]) -> list[Any]:
    """What must stay: type, direction, account, every public value, which personal ones there are, whose aliases."""
    return [
        (
            item.event_type,
            item.direction,
            item.account,
            item.occurred_at_ms,
            [alias.domain for alias in item.aliases],
            sorted({path for path, _ in personal_values(item)}),
            sorted(_public(EVENT_TYPES[item.event_type].model, item.data, ""), key=str),
        )
        for item in items
    ]


def personal_values(item: Item) -> Iterator[tuple[str, object]]:
    """Dotted path and value of every declared personal field that the event has; of lists each element's."""
    yield from _fields(EVENT_TYPES[item.event_type].model, item.data, "", Privacy.PERSONAL)


def _public(model: type[BaseModel], data: Any, prefix: str) -> Iterator[tuple[str, str]]:
    for path, value in _fields(model, data, prefix, Privacy.PUBLIC):
        yield path, repr(value)


def _fields(model: type[BaseModel], data: Any, prefix: str, wanted: Privacy) -> Iterator[tuple[str, object]]:
    for name, info in model.model_fields.items():
        value = data.get(name) if isinstance(data, dict) else None
        if value is None:
            continue
        declared = privacy_of(info)
        if declared is wanted:
            yield prefix + name, value
        elif declared is None:
            inner = model_of(info.annotation)
            assert inner is not None
            for one in value if isinstance(value, (list, tuple)) else (value,):
                yield from _fields(inner, one, f"{prefix}{name}.", wanted)
