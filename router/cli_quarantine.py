"""`mkc quarantine` for the raw zone: what the router set aside, why, and putting it back.

Runs with the router's settings. Opens a record only when asked to, with a purpose, which is logged; never otherwise shows
a byte of it.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from contracts import topics
from contracts.control import ControlView
from contracts.errors import ReplayLimit
from contracts.sealing import RecordOpener
from contracts.signing import RIGHTS_BY_PROCESS, KnownSigner, Right
from router.open import Origin, RawRecord, Signers, open_block
from router.raw_keys import Keyring
from router.route import selected
from router.settings import RouterSettings
from router.split.delivery import split
from router.split.item import BadItem
from runtime import logging
from runtime.arguments import count
from runtime.kafka.clients import Producer
from runtime.kafka.control import ControlReader
from runtime.kafka.quarantine import SetAside, put_back, read_all
from runtime.secrets import closing_all
from runtime.settings import load


def main(arguments: list[str]) -> int:
    """Exit code 0, or 1 if a named record is not there or could not be put back."""
    options = _parser().parse_args(arguments)
    settings = load(RouterSettings)
    return asyncio.run(_COMMANDS[options.command](options, settings))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mkc quarantine",
        description="What could not be routed is set aside in its original sealing, with the reason for each item. "
        "An ID is the source of a record: topic:partition:offset. `--zone tenant` asks the store's quarantine.",
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--zone", choices=("raw", "tenant"), default="raw", help="the router's quarantine, or the store's"
    )
    common.add_argument("--json", action="store_true", help="one JSON object a line")
    chosen = argparse.ArgumentParser(add_help=False)
    chosen.add_argument("--reason", help="only records with an item of this reason")
    chosen.add_argument("--limit", type=count, default=100, help="at most so many, newest last (default 100)")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", parents=[common, chosen], help="when, from where, why, how many items")
    show = commands.add_parser("show", parents=[common], help="one record: each item and its reason")
    show.add_argument("id", metavar="ID")
    show.add_argument("--open", action="store_true", help="decrypt and show the items; needs --purpose")
    show.add_argument("--purpose", help="why you read personal data; logged with your name")
    replay = commands.add_parser(
        "replay", parents=[common, chosen], help="route the items again; a record at most three times"
    )
    replay.add_argument("ids", metavar="ID", nargs="*", help="without any: all that --reason selects")
    return parser


def _me(settings: RouterSettings) -> KnownSigner:
    signer = settings.signer()
    return KnownSigner(signer.name, signer.public_raw, RIGHTS_BY_PROCESS["router"])


async def _read(settings: RouterSettings) -> tuple[list[SetAside], int]:
    return await read_all(
        settings.kafka,
        topics.QUARANTINE_RAW,
        {"router": _me(settings)}.get,
        Right.QUARANTINE_RAW,
        settings.kafka_tls,
    )


def _choose(found: Sequence[SetAside], reason: str | None, limit: int) -> list[SetAside]:
    chosen = [one for one in found if reason is None or reason in one.reasons]
    return chosen[-limit:] if limit > 0 else []


def _time(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="seconds")


def _described(one: SetAside) -> dict[str, Any]:
    return {
        "id": one.identity,
        "set_aside_at": _time(one.set_aside_at_ms),
        "received_at": _time(one.received_at_ms),
        "reasons": one.reasons,
        "items": len(one.items),
        "replay": one.replay,
        "bytes": len(one.value),
    }


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


async def _list(options: argparse.Namespace, settings: RouterSettings) -> int:
    found, tampered = await _read(settings)
    chosen = _choose(found, options.reason, options.limit)
    if options.json:
        for one in chosen:
            _print_json(_described(one))
        return 0
    table = Table(box=None, pad_edge=False)
    for heading in ("ID", "SET ASIDE", "REASONS", "ITEMS", "REPLAYS"):
        # Only reasons may be folded: an id is copied, and a script cuts columns.
        table.add_column(heading, no_wrap=heading != "REASONS", overflow="fold")
    for one in chosen:
        reasons = ", ".join(f"{reason} × {count}" for reason, count in sorted(one.reasons.items()))
        table.add_row(one.identity, _time(one.set_aside_at_ms), reasons, str(len(one.items)), str(one.replay))
    console = Console()
    if chosen:
        console.print(table)
    console.print(f"{len(chosen)} of {len(found)} records")
    if tampered:
        console.print(f"{tampered} records are not signed by the router: tampered with, not shown")
    return 0


async def _show(options: argparse.Namespace, settings: RouterSettings) -> int:
    if options.open and not options.purpose:
        sys.stderr.write("mkc quarantine: --open needs --purpose TEXT\n")
        return 2
    found, _ = await _read(settings)
    one = next((one for one in found if one.identity == options.id), None)
    if one is None:
        sys.stderr.write("mkc quarantine: no such record\n")
        return 1
    described = _described(one)
    described["items"] = [{"path": path, "reason": reason} for path, reason in one.items]
    if options.open:
        logging.configure("mkc", sys.stderr)
        logging.get_logger().info(
            "quarantine.opened", who=getpass.getuser(), purpose=options.purpose, name=one.identity
        )
        described["opened"] = await _open(one, settings)
    if options.json:
        _print_json(described)
        return 0
    console = Console()
    console.print_json(json.dumps(described, ensure_ascii=False))
    return 0


async def _open(one: SetAside, settings: RouterSettings) -> list[dict[str, Any]]:
    """The items that were set aside, in the clear. Raises TamperedRecord, KeyGone, KeyNotYetKnown."""
    me = _me(settings)
    secrets = settings.secrets()
    async with closing_all(secrets):
        keyring = Keyring(secrets)
        await keyring.reload()
    view = ControlView(settings.pinned())
    async with ControlReader(settings.kafka, "mkc-quarantine", view, tls=settings.kafka_tls) as control:
        signers = Signers(lambda name: me if name == me.name else control.view.signer(name))
        record = RawRecord(
            one.topic, one.partition, one.offset, one.set_aside_at_ms, one.value, one.original_headers
        )
        origin = Origin(one.received_at_ms, one.replay, one.items)
        opener = RecordOpener(keyring.get, signers)
        deliveries = open_block(record, origin, opener, signers, datetime.now(UTC).timestamp())
    shown: list[dict[str, Any]] = []
    for position, delivery in enumerate(deliveries):
        prefix = f"deliveries[{position}]"
        if not selected(prefix, one.items):
            continue
        text = delivery.body.decode("utf-8", "backslashreplace")
        paths = [
            f"{prefix}.{part.path}" if part.path else prefix
            for part in split(delivery.body)
            if not isinstance(part, BadItem)
        ]
        inside = [path for path in paths if selected(path, one.items)]
        shown.append({"delivery": position, "app": delivery.app, "readable_items": inside, "body": text})
    return shown


async def _replay(options: argparse.Namespace, settings: RouterSettings) -> int:
    if not options.ids and not options.reason:
        sys.stderr.write("mkc quarantine: name records, or choose them by --reason\n")
        return 2
    found, _ = await _read(settings)
    by_identity = {one.identity: one for one in found}
    chosen = (
        [by_identity.get(identity) for identity in options.ids]
        if options.ids
        else list(_choose(found, options.reason, options.limit))
    )
    producer = Producer(settings.kafka, "mkc-quarantine", tls=settings.kafka_tls)
    await producer.start()
    failed = 0
    try:
        for position, one in enumerate(chosen):
            name = one.identity if one is not None else options.ids[position]
            outcome: dict[str, Any] = {"id": name}
            if one is None:
                outcome["failed"] = "not_found"
            else:
                try:
                    outcome["offset"] = await put_back(one, producer, settings.signer())
                    outcome["replay"] = one.replay + 1
                except ReplayLimit as exc:
                    outcome["failed"] = exc.code
            failed += "failed" in outcome
            if options.json:
                _print_json(outcome)
            elif "failed" in outcome:
                sys.stdout.write(f"{name}: {outcome['failed']}\n")
            else:
                sys.stdout.write(f"{name}: put back as offset {outcome['offset']}\n")
    finally:
        await producer.stop()
    return 1 if failed else 0


_COMMANDS = {"list": _list, "show": _show, "replay": _replay}
