"""`mkc quarantine --zone tenant`: what the store set aside, why, and putting it back. Runs with the store's settings."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from contracts import headers as h
from contracts import topics
from contracts.control import ControlView
from contracts.errors import KeyNotYetKnown, ReplayLimit
from contracts.signing import RIGHTS_BY_PROCESS, KnownSigner, Right, Signer
from runtime import logging
from runtime.arguments import count
from runtime.files import read_secret
from runtime.kafka.clients import Producer
from runtime.kafka.control import ControlReader
from runtime.kafka.quarantine import SetAside, put_back, read_all
from runtime.secrets import closing_all, secrets_from
from runtime.settings import load
from store.lanes.event_types import known_type
from store.lanes.opening import TenantOpener
from store.lanes.reading import say
from store.settings import StoreSettings, read_control_signers


@dataclass(frozen=True, slots=True)
class _Original:
    """The record as it lay on the tenant's topic, for the opener."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes = field(repr=False)
    headers: h.Headers = field(repr=False)


def main(arguments: list[str]) -> int:
    """Exit code 0, or 1 if a named record is not there or could not be put back."""
    options = _parser().parse_args(arguments)
    settings = load(StoreSettings)
    signer = Signer.from_bytes("store", read_secret(settings.signing_key_file, "MKC_STORE_SIGNING_KEY_FILE"))
    return asyncio.run(_COMMANDS[options.command](options, settings, signer))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mkc quarantine --zone tenant",
        description="Tenants' records that could not be stored lie in their original sealing, with the reason. "
        "An ID is the source of a record: topic:partition:offset.",
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--zone", choices=("raw", "tenant"), default="tenant", help="whose quarantine")
    common.add_argument("--json", action="store_true", help="one JSON object a line")
    chosen = argparse.ArgumentParser(add_help=False)
    chosen.add_argument("--reason", help="only records of this reason")
    chosen.add_argument("--limit", type=count, default=100, help="at most so many, newest last (default 100)")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", parents=[common, chosen], help="when, from where, why")
    show = commands.add_parser("show", parents=[common], help="one record and its reason")
    show.add_argument("id", metavar="ID")
    show.add_argument("--open", action="store_true", help="decrypt and show it; needs --purpose")
    show.add_argument("--purpose", help="why you read personal data; logged with your name")
    replay = commands.add_parser(
        "replay",
        parents=[common, chosen],
        help="put back onto the tenant's topic; a record at most three times",
    )
    replay.add_argument("ids", metavar="ID", nargs="*", help="without any: all that --reason selects")
    return parser


async def _read(settings: StoreSettings, signer: Signer) -> tuple[list[SetAside], int]:
    me = KnownSigner(signer.name, signer.public_raw, RIGHTS_BY_PROCESS["store"])
    return await read_all(
        settings.kafka,
        topics.QUARANTINE_TENANT,
        {me.name: me}.get,
        Right.QUARANTINE_TENANT,
        settings.kafka_tls,
    )


def _choose(found: list[SetAside], reason: str | None, limit: int) -> list[SetAside]:
    chosen = [one for one in found if reason is None or reason in one.reasons]
    return chosen[-limit:] if limit > 0 else []


def _described(one: SetAside) -> dict[str, Any]:
    return {
        "id": one.identity,
        "set_aside_at": datetime.fromtimestamp(one.set_aside_at_ms / 1000, UTC).isoformat(timespec="seconds"),
        "received_at": datetime.fromtimestamp(one.received_at_ms / 1000, UTC).isoformat(timespec="seconds"),
        "reasons": one.reasons,
        "items": len(one.items),
        "replay": one.replay,
        "bytes": len(one.value),
    }


async def _list(options: argparse.Namespace, settings: StoreSettings, signer: Signer) -> int:
    found, tampered = await _read(settings, signer)
    chosen = _choose(found, options.reason, options.limit)
    for one in chosen:
        described = _described(one)
        if options.json:
            say(orjson.dumps(described).decode())
        else:
            say(
                f"{one.identity}  {described['set_aside_at']}  {', '.join(one.reasons)}  replays {one.replay}"
            )
    if not options.json:
        say(f"{len(chosen)} of {len(found)} records")
        if tampered:
            say(f"{tampered} records are not signed by the store: tampered with, not shown")
    return 0


async def _show(options: argparse.Namespace, settings: StoreSettings, signer: Signer) -> int:
    if options.open and not (options.purpose or "").strip():
        sys.stderr.write("mkc quarantine: --open needs --purpose TEXT\n")
        return 2
    found, _ = await _read(settings, signer)
    one = next((one for one in found if one.identity == options.id), None)
    if one is None:
        sys.stderr.write("mkc quarantine: no such record\n")
        return 1
    described = _described(one)
    if options.open:
        logging.configure("mkc", sys.stderr)
        logging.get_logger().info(
            "quarantine.opened", who=getpass.getuser(), purpose=options.purpose, name=one.identity
        )
        described["opened"] = await _open(one, settings)
    say(orjson.dumps(described, option=0 if options.json else orjson.OPT_INDENT_2).decode())
    return 0


async def _open(one: SetAside, settings: StoreSettings) -> dict[str, Any]:
    view = ControlView(read_control_signers(settings.control_signers_file))
    secrets = secrets_from(settings, "store", settings.secrets_dir)
    async with (
        closing_all(secrets),
        ControlReader(settings.kafka, "mkc-quarantine", view, tls=settings.kafka_tls),
    ):
        slot = view.slots.get(topics.slot_of(one.topic) or "")
        tenant = slot.tenant if slot is not None else None
        opener = TenantOpener(secrets, view, known_type)
        original = _Original(
            one.topic,
            one.partition,
            one.offset,
            one.received_at_ms,
            None,
            one.value,
            tuple(one.original_headers),
        )
        try:
            opened = await opener.open_waiting(original, tenant or UUID(int=0))
        except KeyNotYetKnown as exc:
            return {"unreadable": exc.code}
    if opened.event is None:
        return {"unreadable": opened.reason or "notice"}
    return {"data": orjson.loads(opened.event.payload)}


async def _replay(options: argparse.Namespace, settings: StoreSettings, signer: Signer) -> int:
    if not options.ids and not options.reason:
        sys.stderr.write("mkc quarantine: name records, or choose them by --reason\n")
        return 2
    found, _ = await _read(settings, signer)
    by_identity = {one.identity: one for one in found}
    wanted = options.ids or [one.identity for one in _choose(found, options.reason, options.limit)]
    producer = Producer(settings.kafka, "mkc-quarantine", tls=settings.kafka_tls)
    await producer.start()
    failed = 0
    try:
        for identity in wanted:
            outcome: dict[str, Any] = {"id": identity}
            try:
                if (one := by_identity.get(identity)) is None:
                    outcome["failed"] = "not_found"
                else:
                    outcome["offset"] = await put_back(one, producer, signer)
                    outcome["replay"] = one.replay + 1
            except ReplayLimit as exc:
                outcome["failed"] = exc.code
            failed += "failed" in outcome
            if options.json:
                say(orjson.dumps(outcome).decode())
            elif "failed" in outcome:
                say(f"{identity}: {outcome['failed']}")
            else:
                say(f"{identity}: put back as offset {outcome['offset']}")
    finally:
        await producer.stop()
    return 1 if failed else 0


_COMMANDS = {"list": _list, "show": _show, "replay": _replay}
