"""Types of arguments that several of `mkc`'s commands take, each with an error in one sentence."""

from __future__ import annotations

import argparse


def count(text: str) -> int:
    """A number from 1 on that fits 31 bits. Raises ArgumentTypeError, which argparse makes exit code 2."""
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) < 1 << 31:
        raise argparse.ArgumentTypeError("not a number from 1 on")
    return int(text)
