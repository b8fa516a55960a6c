"""`mkc receipt verify FILE`: checks an erasure's receipt with the public receipt keys alone, or also against everything.

Shows what the receipt says; it holds nothing of a person.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from pydantic_settings import SettingsConfigDict

from contracts.errors import InvalidSettings, PermanentError
from contracts.receipts import MOST_BYTES, ErasureReceipt, read_keys, verify
from runtime.settings import ProcessSettings, load


class ReceiptSettings(ProcessSettings):
    """What `mkc receipt verify` is given."""

    model_config = SettingsConfigDict(env_prefix="MKC_RECEIPT_")

    health_port: int = 0
    """Unused: a command has no health server."""
    keys_file: Path
    """Public receipt keys: one base64 line each, old ones too."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mkc receipt",
        description="Check the receipt of an erasure: that the company's receipt key signed exactly these bytes. Needs no\n"
        "server. Exit 1 with a reason if not: receipt_unreadable, receipt_signer_unknown or receipt_changed.",
        epilog="examples:\n  mkc receipt verify receipt.json\n  mkc receipt verify receipt.json --keys receipts.pub --json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    check = commands.add_parser("verify", help="check a receipt's signature and show what it says")
    check.add_argument("file", type=Path, metavar="FILE", help="the receipt, as it was given; - reads it")
    check.add_argument(
        "--keys", type=Path, metavar="FILE", help="public receipt keys (MKC_RECEIPT_KEYS_FILE)"
    )
    check.add_argument("--json", action="store_true", help="print JSON instead of text")
    return parser


def main(arguments: list[str]) -> int:
    """`mkc receipt verify …`; 0 genuine, 1 not."""
    options = _parser().parse_args(arguments)
    keys = _keys(options.keys)
    try:
        receipt = verify(_content(options.file), keys)
    except PermanentError as exc:
        if options.json:
            sys.stdout.write(orjson.dumps({"genuine": False, "reason": exc.code}).decode() + "\n")
        else:
            sys.stdout.write(f"NOT genuine: {exc.code}: {exc}\n")
        return 1
    if options.json:
        told = {"genuine": True, "receipt": receipt.model_dump(mode="json")}
        sys.stdout.write(orjson.dumps(told).decode() + "\n")
        return 0
    sys.stdout.write("\n".join(lines(receipt)) + "\ngenuine: signed with the company's receipt key\n")
    return 0


def _keys(given: Path | None) -> dict[str, bytes]:
    path = load(ReceiptSettings).keys_file if given is None else given
    try:
        return read_keys(path.read_text())
    except (OSError, ValueError) as exc:
        raise InvalidSettings("MKC_RECEIPT_KEYS_FILE: not a readable file of public receipt keys") from exc


def _content(path: Path) -> bytes:
    try:
        if str(path) == "-":
            return sys.stdin.buffer.read(MOST_BYTES + 2)
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 2)
    except OSError as exc:
        raise InvalidSettings("FILE: cannot be read") from exc


def lines(receipt: ErasureReceipt) -> list[str]:
    """What the receipt says, for a person."""
    shown: list[tuple[str, str]] = [("protocol", str(receipt.protocol))]
    shown += [(party.role, str(party.tenant or party.party)) for party in receipt.parties]
    shown += [
        ("asked by", f"{receipt.origin}; identity {_words(receipt.identity)}"),
        ("received", _moment(receipt.received_at_ms)),
        ("decided", _moment(receipt.decided_at_ms)),
        ("executed", _moment(receipt.executed_at_ms)),
        ("erased everywhere live", _moment(receipt.live_erased_at_ms)),
        ("irrecoverable on", str(receipt.irrecoverable_on or "there was nothing")),
    ]
    shown += [
        ("subject", f"through generation {one.generation}, up to {_second(one.watermark_s)}")
        for one in receipt.subjects
    ]
    shown += [("erased", f"{one.count:,} {_words(one.category)}") for one in receipt.erased]
    shown += [
        (one.system, f"{_words(one.method)} {_moment(one.at_ms) if one.at_ms is not None else one.on}")
        for one in receipt.removals
    ]
    shown += [
        ("kept", f"{_words(one.what)} until {one.until or 'the contract ends'} ({', '.join(one.norms)})")
        for one in receipt.kept
    ]
    shown += [("told", f"{_words(one.who)} {_moment(one.at_ms)}") for one in receipt.told]
    shown.append(("audit log", f"tree of {receipt.audit.tree_size}, root {receipt.audit.root[:16]}…"))
    shown.append(("signed", f"{_moment(receipt.issued_at_ms)} with receipt key {receipt.signer}"))
    return [f"{name:<26} {text}" for name, text in shown]


def _words(value: Any) -> str:
    return str(value).replace("_", " ")


def _moment(at_ms: int | None) -> str:
    if at_ms is None:
        return "–"
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"


def _second(at_s: int | None) -> str:
    return "–" if at_s is None else datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
