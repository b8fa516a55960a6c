"""What an entry of the audit log costs beside its INSERT: its bytes, its hash, the tree, and verifying it all.

`python -m tests.bench.bench_audit [ENTRIES]` (default 100,000): pure, no server. Compare only within one run; the first line
is what one bare SHA-256 of 200 bytes takes there.
"""

import hashlib
import sys
import time
from collections.abc import Callable
from uuid import uuid4

from contracts.audit_checkpoints import MOST_LEAVES, checkpoint_of
from contracts.merkle import Frontier, leaf_hash
from store.audit.examine import Row, examine
from store.audit.log import AuditEntry, What


def timed(name: str, count: int, work: Callable[[], object]) -> None:
    """Print microseconds for each of `count`."""
    began = time.perf_counter()
    work()
    print(f"{name:<32} {(time.perf_counter() - began) / count * 1e6:8.2f} µs an entry")


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    bare = bytes(200)
    timed("bare SHA-256", count, lambda: [hashlib.sha256(bare).digest() for _ in range(count)])
    one = AuditEntry(What.ERASURE_EXECUTED, "erasure", request=uuid4(), tenant=uuid4(), numbers={"rows": 1})
    name = uuid4()
    timed("canonical bytes", count, lambda: [one.after_time(name) for _ in range(count)])
    entries = [b'{"at_us":%d,' % number + one.after_time(name).encode() for number in range(count)]
    tree = Frontier()
    leaves: list[bytes] = []

    def grow() -> None:
        for entry in entries:
            leaf = leaf_hash(entry)
            leaves.append(leaf)
            tree.append(leaf)

    timed("hash and tree", count, grow)
    heads, again = [], Frontier()
    for start in range(0, count, MOST_LEAVES):
        part = leaves[start : start + MOST_LEAVES]
        for leaf in part:
            again.append(leaf)
        heads.append(checkpoint_of(again, part, 0))
    rows = [Row(number, number, entry) for number, entry in enumerate(entries)]
    timed("verify everything", count, lambda: examine(rows, heads))


if __name__ == "__main__":
    main()
