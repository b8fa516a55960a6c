"""`make bench`: every measurement, one after the other, each within its time; prints what each printed, then a summary."""

import os
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
BENCHES: tuple[tuple[str, float, tuple[str, ...]], ...] = (
    ("bench_audit", 60.0, ()),
    ("bench_split", 60.0, ()),
    ("bench_receiver", 150.0, ()),
    ("bench_slow_clients", 120.0, ()),
    ("bench_router", 120.0, ()),
    ("bench_store", 150.0, ()),
    ("bench_whole", 120.0, ()),
    ("bench_erasure", 180.0, ("30",)),
    ("bench_rotation", 180.0, ("20000",)),
)
"""Module, the most seconds it may take, and its arguments: the last two in short forms."""


def main() -> int:
    """0 if every bench came to its end."""
    summary: list[str] = []
    failed = False
    for name, most_s, arguments in BENCHES:
        began, load = time.monotonic(), os.getloadavg()[0]
        print(f"\n{name} (load average {load:.1f} on {os.cpu_count()} cores)", flush=True)
        try:
            ended = subprocess.run(
                [sys.executable, "-m", f"tests.bench.{name}", *arguments],
                cwd=REPOSITORY,
                timeout=most_s,
                check=False,
            ).returncode
            outcome = "done" if ended == 0 else f"exit {ended}"
        except subprocess.TimeoutExpired:
            ended, outcome = 1, f"stopped after {most_s:.0f} s"
        failed |= ended != 0
        summary.append(f"{name:16} {time.monotonic() - began:6.0f} s  load {load:4.1f}  {outcome}")
    print("\n" + "\n".join(summary))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
