"""`mkc erasure`: asks for erasures, imports Meta's list, shows what requests wait for, counts before, approves.

Commands write requests to Kafka as the operator, one writes fences again as erasure; nothing here erases. What reads identifiers or a tenant's schema does so
by the reading commands' rights. Must never print an identifier or a pseudonym, nor take an approval from who asked.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final, get_args
from uuid import UUID

from pydantic import ValidationError

from contracts.erasure_requests import Identifier
from contracts.pseudonyms import phone_forms
from runtime.arguments import count
from store.custody.operating import at_desk, parser_for, with_json
from store.erasure.operator.cli_ask import ask_for_list, ask_for_person
from store.erasure.operator.cli_preview import preview_person, preview_request
from store.erasure.operator.cli_republish import DESCRIPTION, SUMMARY, republish_fences
from store.erasure.operator.cli_show import approve, show_request, show_requests
from store.erasure.operator.dashboard_list import ListedKind

KINDS: Final = ("phone", "bsuid", "parent_bsuid", "psid", "igsid")
LISTED: Final = get_args(ListedKind)
_MOST_IDENTIFIERS: Final = 64
"""As many as a request may name (`contracts.erasure_requests`)."""
_FIRST_LIST: Final = date(2004, 2, 4)
"""Facebook's first day."""


def main(arguments: list[str]) -> int:
    """`mkc erasure …`; the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command == "request":
        named = _identifiers(parser, options.identifier)
        return at_desk(lambda desk: ask_for_person(desk, options.tenant, named, options.repeat, options.json))
    if options.command == "import":
        return at_desk(
            lambda desk: ask_for_list(
                desk,
                options.tenant,
                options.file,
                listed_on=options.date,
                kinds=options.kind or LISTED,
                as_json=options.json,
            )
        )
    if options.command == "preview":
        return _preview(parser, options)
    if options.command == "approve":
        return at_desk(lambda desk: approve(desk, options.request, options.json))
    if options.command == "republish-fences":
        return republish_fences(even_so=options.even_so, as_json=options.json)
    if options.request is not None:
        if options.tenant is not None:
            parser.error("status: REQUEST stands alone; --tenant is for the list")
        return at_desk(lambda desk: show_request(desk, options.request, options.json))
    return at_desk(lambda desk: show_requests(desk, options.tenant, options.limit, options.json))


def _preview(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    if not options.purpose.strip():
        parser.error("--purpose must say why")
    if options.request is not None:
        if options.tenant is not None or options.identifier is not None:
            parser.error("preview: --request stands alone; it names a tenant and what it is about")
        return at_desk(lambda desk: preview_request(desk, options.request, options.purpose, options.json))
    if options.tenant is None or options.identifier is None:
        parser.error("preview: --tenant and --identifier, or --request")
    named = _identifiers(parser, options.identifier)
    return at_desk(lambda desk: preview_person(desk, options.tenant, named, options.purpose, options.json))


def _parser() -> argparse.ArgumentParser:
    parser = parser_for(
        "erasure",
        "Have people erased, and see how far that is. Every request goes to the erasure consumer, which alone erases:\n"
        "a person's key is destroyed within seconds; copies in backups and on topics stay ciphertext, and cannot be\n"
        "read by anybody once the keys over them have ended (mkc erasure status REQUEST says which, and when).",
        (
            "mkc erasure preview --tenant acme --identifier phone:+5511987654321 --purpose 'protocol 2026-118'",
            "mkc erasure preview --request 6f0c2c1e-… --purpose 'before I approve it'",
            "mkc erasure request --tenant acme --identifier phone:+5511987654321",
            "mkc erasure request --tenant acme --identifier bsuid:BR.1349120 --identifier psid:7219",
            "mkc erasure import list.csv --tenant acme --date 2026-11-20",
            "mkc erasure status",
            "mkc erasure status 6f0c2c1e-…",
            "mkc erasure approve 6f0c2c1e-…",
            "mkc erasure republish-fences",
        ),
    )
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="request|import|preview|status|approve|republish-fences"
    )
    ask = with_json(
        commands.add_parser(
            "request", help="erase a person whom you have identified already; prints the request's id"
        )
    )
    _add_person(ask)
    ask.add_argument(
        "--repeat",
        type=UUID,
        metavar="REQUEST",
        help="the id that an earlier attempt printed: then this is the same request, and happens once",
    )
    bring = with_json(
        commands.add_parser(
            "import",
            help="ask for everybody on the deletion list of Meta's dashboard",
            description="One id a line, or CSV with the id in the first column. Ids that nobody knows are fine: they are\n"
            "kept out from now on. The same list twice is the same requests.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    bring.add_argument("file", type=Path, metavar="FILE", help="the list as it was downloaded")
    bring.add_argument("--tenant", required=True, help="the tenant's name or id")
    bring.add_argument(
        "--date", type=_date, required=True, metavar="YYYY-MM-DD", help="the list's date: the requests' time"
    )
    bring.add_argument(
        "--kind",
        action="append",
        choices=LISTED,
        help="what the ids are, if you know: psid (Messenger), igsid (Instagram); default: looked for as both",
    )
    before = with_json(
        commands.add_parser(
            "preview", help="count what an erasure would take; changes nothing, and is on record as a read"
        )
    )
    _add_person(before, required=False)
    before.add_argument(
        "--request", type=UUID, metavar="REQUEST", help="instead of a person: what a request takes that waits"
    )
    before.add_argument("--purpose", required=True, metavar="TEXT", help="why you look; recorded")
    show = with_json(
        commands.add_parser("status", help="show requests, or what one still waits for and until when")
    )
    show.add_argument("request", nargs="?", type=UUID, metavar="REQUEST", help="one request, in detail")
    show.add_argument("--tenant", help="only this tenant's (name or id)")
    show.add_argument("--limit", type=count, default=50, help="at most so many (default 50), open ones first")
    second = with_json(
        commands.add_parser(
            "approve",
            help="let an account's erasure begin before its 72 hours are over; not for whoever asked for it",
        )
    )
    second.add_argument("request", type=UUID, metavar="REQUEST")
    lost = with_json(
        commands.add_parser(
            "republish-fences",
            help=SUMMARY,
            description=DESCRIPTION,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    lost.add_argument("--even-so", action="store_true", help="also where topic and database agree")
    return parser


def _add_person(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    parser.add_argument("--tenant", required=required, help="the tenant's name or id")
    parser.add_argument(
        "--identifier",
        action="append",
        required=required,
        metavar="KIND:VALUE",
        help=f"one of the person's ids; KIND is {', '.join(KINDS)}. One is enough: whatever belongs to the same person is "
        "found. A Brazilian mobile is looked for with and without its ninth digit",
    )


def _identifiers(parser: argparse.ArgumentParser, texts: Sequence[str]) -> tuple[Identifier, ...]:
    if len(texts) > _MOST_IDENTIFIERS:
        parser.error(f"--identifier: at most {_MOST_IDENTIFIERS} of one person")
    named = []
    for text in texts:
        kind, found, value = text.partition(":")
        if not found or kind not in KINDS or not value.strip():
            parser.error(f"--identifier: KIND:VALUE, KIND one of {', '.join(KINDS)}")
        if kind == "phone" and not phone_forms(value):
            parser.error("--identifier: a phone number has digits")
        try:
            named.append(Identifier.model_validate({"kind": kind, "value": value.strip()}))
        except ValidationError:
            parser.error("--identifier: a value is too long")
    return tuple(named)


def _date(text: str) -> date:
    try:
        given = date.fromisoformat(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError("not a date; as in 2026-11-20") from exc
    # A day of slack: it may be tomorrow already where the list was made.
    if not _FIRST_LIST <= given <= datetime.now(UTC).date() + timedelta(days=1):
        raise argparse.ArgumentTypeError(
            "no list of Meta's has that date: it lies before all of them or has not come yet"
        )
    return given
