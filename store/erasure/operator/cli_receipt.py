"""`mkc receipt verify FILE`: checks an erasure's receipt with the public receipt keys alone, or also against everything.

Shows what the receipt says; it holds nothing of a person. `mkc receipt sample` takes ciphertext for a later trial.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from pydantic_settings import SettingsConfigDict

from contracts.errors import InvalidSettings, PermanentError
from contracts.receipts import MOST_BYTES, ErasureReceipt, read_keys, verify
from runtime.arguments import count
from runtime.files import write_atomic
from runtime.settings import ProcessSettings, load
from store.erasure.verification.live import Looked, look
from store.erasure.verification.samples import read_samples, take_samples
from store.lanes.database import execute
from store.lanes.reading import connected, find_tenant
from store.settings import ReaderSettings


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
        epilog="examples:\n  mkc receipt verify receipt.json\n  mkc receipt verify receipt.json --keys receipts.pub --json\n"
        "  mkc receipt sample acme before.jsonl\n  mkc receipt verify receipt.json --live --sample before.jsonl",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    check = commands.add_parser("verify", help="check a receipt's signature and show what it says")
    check.add_argument("file", type=Path, metavar="FILE", help="the receipt, as it was given; - reads it")
    check.add_argument(
        "--keys", type=Path, metavar="FILE", help="public receipt keys (MKC_RECEIPT_KEYS_FILE)"
    )
    check.add_argument(
        "--live", action="store_true", help="also look for what should be gone, with every key there is"
    )
    check.add_argument(
        "--sample",
        type=Path,
        metavar="FILE",
        help="ciphertext taken before (mkc receipt sample): tried with every key",
    )
    take = commands.add_parser(
        "sample", help="take rows' ciphertext now, to try after an erasure whether any key opens it"
    )
    take.add_argument("tenant", metavar="TENANT", help="name or id")
    take.add_argument("file", type=Path, metavar="FILE", help="where it is written")
    take.add_argument("--limit", type=count, default=50, help="how many rows, at random (default 50)")
    check.add_argument("--json", action="store_true", help="print JSON instead of text")
    return parser


def main(arguments: list[str]) -> int:
    """`mkc receipt verify …`; 0 genuine, 1 not."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command == "sample":
        return asyncio.run(_sample(options, load(ReaderSettings)))
    if options.sample is not None and not options.live:
        parser.error("--sample needs --live")
    keys = _keys(options.keys)
    raw = _content(options.file)
    try:
        receipt = verify(raw, keys)
    except PermanentError as exc:
        if options.json:
            sys.stdout.write(orjson.dumps({"genuine": False, "reason": exc.code}).decode() + "\n")
        else:
            sys.stdout.write(f"NOT genuine: {exc.code}: {exc}\n")
        return 1
    looked = None
    if options.live:
        samples = [] if options.sample is None else read_samples(options.sample)
        looked = asyncio.run(look(raw, receipt, load(ReaderSettings), samples))
    if options.json:
        told: dict[str, Any] = {"genuine": True, "receipt": receipt.model_dump(mode="json")}
        if looked is not None:
            told["live"] = {"gone": not looked.found, **asdict(looked)}
        sys.stdout.write(orjson.dumps(told).decode() + "\n")
    else:
        said = [*lines(receipt), "genuine: signed with the company's receipt key"]
        if looked is not None:
            said += _live_lines(looked)
        sys.stdout.write("\n".join(said) + "\n")
    return int(looked is not None and bool(looked.found))


def _live_lines(looked: Looked) -> list[str]:
    return [
        *(f"looked     {text}" for text in looked.seen),
        *(f"waits      {text}" for text in looked.waits),
        *(f"FOUND      {text}" for text in looked.found),
        "NOT gone" if looked.found else "gone: nothing was found that can be read",
    ]


async def _sample(options: argparse.Namespace, settings: ReaderSettings) -> int:
    async with connected(settings) as connection:
        tenant = await find_tenant(connection, options.tenant)
        async with connection.transaction(readonly=True):
            await execute(connection, tenant.statements.enter_reader())
            samples = await take_samples(connection, tenant.statements.schema, options.limit)
    try:
        write_atomic(options.file, b"".join(sample.line() + b"\n" for sample in samples))
    except OSError as exc:
        raise InvalidSettings("FILE: cannot be written") from exc
    sys.stdout.write(f"{len(samples)} rows' ciphertext of {tenant.name} in {options.file}\n")
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
    shown += [
        ("told", f"{_words(one.who)}{'' if one.count is None else f' ({one.count:,})'} {_moment(one.at_ms)}")
        for one in receipt.told
    ]
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
