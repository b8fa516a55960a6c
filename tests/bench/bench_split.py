"""What splitting costs, in microseconds per item: `python -m tests.bench.bench_split`. Reads ../shared/corpus.

Chose the shape of `Item.data`: a plain mapping that orjson writes, against a model of pydantic's that dumps itself.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import orjson

from contracts.events.registry import EVENT_TYPES
from router.split import Item, data_json, split

CORPUS: Final = Path(__file__).parents[3] / "shared" / "corpus"
ROUNDS: Final = 20


def best_us(work: Callable[[], object], items: int) -> float:
    """The best of several rounds: the machine's noise only ever adds."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best / items * 1e6


def main() -> None:
    """Print one line per measurement."""
    bodies = [path.read_bytes() for path in sorted(CORPUS.rglob("*.json"))]
    items = [item for body in bodies for item in split(body) if isinstance(item, Item)]
    models = [EVENT_TYPES[item.event_type].model.model_validate(item.data) for item in items]
    count = len(items)
    gc.freeze()  # The collector must not walk what only this measurement keeps.
    print(f"{len(bodies)} bodies, {count} items, µs per item")
    print(f"parse      {best_us(lambda: [orjson.loads(body) for body in bodies], count):6.2f}")
    print(f"split      {best_us(lambda: [split(body) for body in bodies], count):6.2f}")
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
