"""`mkc messages`: a tenant's stored messages, decrypted. The read is on record: who, when, why, how many."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import Any

import orjson

from contracts.errors import InvalidSettings
from runtime.arguments import count
from runtime.settings import load
from store.keys.settings import provider_from
from store.lanes.reading import connected, find_tenant, read_messages, recorded, say, text_of, whoever
from store.settings import ReaderSettings


def main(arguments: list[str]) -> int:
    """Exit code."""
    options = _parser().parse_args(arguments)
    if not options.purpose.strip():
        sys.stderr.write("mkc messages: --purpose must say why\n")
        return 2
    return asyncio.run(_read(options, load(ReaderSettings)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mkc messages",
        description="Decrypt and show a tenant's messages, newest first. Each read of personal data is recorded before "
        "anything is shown: who, when, why, and how many rows. An erased person's messages read as erased.",
        epilog="examples:\n  mkc messages acme --purpose 'ticket 4711: message missing' --limit 20\n"
        "  mkc messages acme --purpose 'ticket 4711' --json | jq .",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("tenant", metavar="TENANT", help="name or id")
    parser.add_argument("--purpose", required=True, metavar="TEXT", help="why you read this; recorded")
    parser.add_argument("--who", help="who reads, if not the user logged in here; recorded")
    parser.add_argument("--limit", type=count, help="at most so many (default: all)")
    parser.add_argument(
        "--conversation", metavar="HEX", help="only this conversation (mkc events shows them)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON list instead of lines")
    return parser


async def _read(options: argparse.Namespace, settings: ReaderSettings) -> int:
    try:
        conversation = bytes.fromhex(options.conversation) if options.conversation else None
    except ValueError as exc:
        raise InvalidSettings("--conversation: not hex") from exc
    shown: list[dict[str, Any]] = []
    async with connected(settings) as connection:
        tenant = await find_tenant(connection, options.tenant)
        what = "messages" if conversation is None else f"messages of conversation {options.conversation}"
        who = options.who or whoever()
        async with recorded(connection, tenant, who, options.purpose, what) as counter:

            def show(message: dict[str, Any]) -> None:
                counter.rows += 1
                if options.json:
                    shown.append(message)
                else:
                    say(_line(message))

            provider = provider_from(settings, settings.secrets_dir)
            try:
                await read_messages(connection, tenant, provider, conversation, options.limit, show)
            finally:
                await provider.close()
    if options.json:
        say(orjson.dumps(shown).decode())
    else:
        say(f"{len(shown) or counter.rows} messages of {tenant.name}; this read is on record")
    return 0


def _line(message: dict[str, Any]) -> str:
    words = (
        "[erased]"
        if message.get("erased")
        else "[does not open: tampered with]"
        if message.get("tampered")
        else text_of(message.get("data"))
    )
    arrow = {"i": "←", "o": "→"}.get(message["direction"], "·")
    return f"{message['received_at']}  {message['conversation'][:8]} {arrow} {message['type']:<22} {words}"
