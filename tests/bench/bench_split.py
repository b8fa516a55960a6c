"""What splitting costs, in microseconds of processor time per item: `python -m tests.bench.bench_split`. Reads ../shared/corpus.

By kind, over the mix of `tests.bench.mix`, and over the corpus. Chose the shape of `Item.data`: a plain mapping that orjson writes,
against a model of pydantic's that dumps itself. Results: docs/measurements-split.md.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import orjson

from contracts.events.registry import EVENT_TYPES
from router.split import Item, data_json, split
from router.split.check import checker
from tests.bench.mix import deliveries

CORPUS: Final = Path(__file__).parents[3] / "shared" / "corpus"
ROUNDS: Final = 20


def best_us(work: Callable[[], object], items: int) -> float:
    """The best of several rounds: the machine's noise only ever adds."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
    return best / items * 1e6


def split_each(bodies: list[bytes]) -> None:
    """Split and let go, as the router does: to keep thousands of deliveries costs half as much again in the collector."""
    for body in bodies:
        split(body)


def by_kind() -> None:
    """Deliveries of one item, as most are."""
    chance = random.Random(3)
    accounts = [(f"40{n}", f"50{n}", f"70{n}") for n in range(50)]
    mixed, _ = deliveries(chance, accounts, 5_000)
    kinds: dict[str, list[bytes]] = {"mix": mixed}
    for body in mixed:
        for kind, mark in (
            ("WhatsApp message", b'"messages":['),
            ("WhatsApp status", b'"statuses"'),
            ("Messenger message", b'"mid"'),
            ("Messenger read", b'"watermark"'),
        ):
            if mark in body:
                kinds.setdefault(kind, []).append(body)
                break
    for kind, bodies in kinds.items():
        microseconds = best_us(partial(split_each, bodies), len(bodies))
        print(f"{kind:18}{microseconds:6.2f}  ({len(bodies)} bodies)")


def main() -> None:
    """Print one line per measurement."""
    gc.freeze()
    by_kind()
    bodies = [path.read_bytes() for path in sorted(CORPUS.rglob("*.json"))]
    items = [item for body in bodies for item in split(body) if isinstance(item, Item)]
    typed = [
        (checker(kind.part_model), item.data[kind.part])
        for item in items
        if (kind := EVENT_TYPES[item.event_type]).part is not None and kind.part_model is not None
    ]
    models = [EVENT_TYPES[item.event_type].model.model_validate(item.data) for item in items]
    count = len(items)
    gc.freeze()  # The collector must not walk what only this measurement keeps.
    print(f"{len(bodies)} bodies, {count} items, µs per item")
    print(f"parse      {best_us(lambda: [orjson.loads(body) for body in bodies], count):6.2f}")
    print(f"split      {best_us(partial(split_each, bodies), count):6.2f}")
    print(
        f"validate   {best_us(lambda: [check(part) for check, part in typed], len(typed)):6.2f}  (typed part)"
    )
    print(f"data_json  {best_us(lambda: [data_json(item) for item in items], count):6.2f}")
    validated = best_us(
        lambda: [EVENT_TYPES[item.event_type].model.model_validate(item.data) for item in items], count
    )
    print(f"model      {validated:6.2f}  (validating a whole model instead of the typed part)")
    print(
        f"dump       {best_us(lambda: [model.model_dump_json() for model in models], count):6.2f}  (of a model)"
    )


if __name__ == "__main__":
    main()
