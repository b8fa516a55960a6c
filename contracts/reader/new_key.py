"""`python -m contracts.reader.new_key PRIVATE PUBLIC`: the keypair of a downstream service.

PRIVATE is a new file of 96 bytes that only its owner may read; PUBLIC, base64, goes to whoever gives the grant.
"""

from __future__ import annotations

import os
import sys
from base64 import b64encode
from pathlib import Path

from contracts.hybrid import HybridPrivateKey


def main(arguments: list[str]) -> int:
    """The exit code: 1 if a file exists already or cannot be written, 2 for wrong usage."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m contracts.reader.new_key PRIVATE PUBLIC\n")
        return 2
    private = HybridPrivateKey.generate()
    try:
        with os.fdopen(os.open(arguments[0], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(private.raw)
        Path(arguments[1]).write_bytes(b64encode(private.public.raw) + b"\n")
    except OSError:
        sys.stderr.write("a file exists already, or cannot be written\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
