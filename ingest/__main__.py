"""`python -m ingest`: the receiver as a process. Settings are `MKC_INGEST_*`."""

from __future__ import annotations

import sys

from contracts.errors import InvalidSettings
from ingest.app import serve
from ingest.settings import IngestSettings
from runtime.lifecycle import Supervisor, run
from runtime.settings import load


def main() -> int:
    """Exit codes: 0 stopped, 1 failed, 2 unusable settings."""
    try:
        settings = load(IngestSettings)
    except InvalidSettings as exc:
        sys.stderr.write(f"ingest: {exc}\n")
        return 2

    async def serve_until_stopped(supervisor: Supervisor) -> None:
        await serve(settings, supervisor)

    return run("ingest", serve_until_stopped)


if __name__ == "__main__":
    sys.exit(main())
