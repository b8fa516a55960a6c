"""`mkc ledger`: shows and checks that everything that came in became something. Reads only; offsets and counts only."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict

from contracts import topics
from contracts.ledger import Outcome
from store.custody.balance import EXPIRED_UNREAD, Balance, Finding, balance
from store.custody.ledger import read_books
from store.custody.operating import Desk, at_desk, parser_for, say, say_json, say_table, with_json

_SHOWN = 50


def _parser() -> argparse.ArgumentParser:
    parser = with_json(
        parser_for(
            "ledger",
            "Balance what came in against what became of it, from the durable lines. Exit 1 if it does not balance.\n"
            "Records younger than 60 s without an end are in flight: shown, and no failure unless --strict.",
            ("mkc ledger", "mkc ledger acme", "mkc ledger --strict --json"),
        )
    )
    parser.add_argument("tenant", nargs="?", help="only this tenant's topic and rows (name or id)")
    parser.add_argument("--strict", action="store_true", help="what is in flight is a failure, too")
    return parser


def main(arguments: list[str]) -> int:
    """`mkc ledger …`; 0 balanced, 1 not."""
    options = _parser().parse_args(arguments)
    return at_desk(lambda desk: _run(desk, options))


async def _run(desk: Desk, options: argparse.Namespace) -> int:
    if options.tenant is not None:
        await desk.tenant(options.tenant)
    books = await read_books(desk.settings.kafka, desk.connection, options.tenant, desk.settings.kafka_tls)
    result = balance(books.raw, books.lines, books.expired, books.tenants)
    findings = list(result.findings)
    if books.unreadable:
        findings.append(Finding(f"{books.unreadable} lines cannot be read", topics.LEDGER, None, None, None))
    failed = bool(findings) or (options.strict and bool(result.in_flight))
    if options.json:
        say_json(_document(result, findings, failed))
        return int(failed)
    say(f"{result.raw_records} raw records, {result.deliveries} deliveries, {result.items} items")
    say_table(
        (
            "tenant",
            "raw_records",
            "events",
            "quarantined",
            "refused",
            "records",
            "republished",
            "waiting",
            "outcomes",
        ),
        [
            {
                "tenant": total.name,
                "raw_records": total.raw_records,
                "events": total.events,
                "quarantined": _by_reason(total.quarantined_by_reason),
                "refused": _by_reason(total.refused_by_reason),
                "records": total.records,
                "republished": total.republished,
                "waiting": total.waiting,
                "outcomes": ", ".join(
                    f"{name} {total.outcomes[name]}"
                    for name in (*Outcome, EXPIRED_UNREAD)
                    if total.outcomes[name]
                ),
            }
            for total in result.tenants.values()
        ],
    )
    _say_findings("in flight", result.in_flight)
    _say_findings("does not balance", findings)
    say("does not balance" if failed else "balanced")
    return int(failed)


def _by_reason(counts: dict[str, int]) -> str:
    total = sum(counts.values())
    if not total:
        return "0"
    return f"{total} ({', '.join(f'{reason} {count}' for reason, count in sorted(counts.items()))})"


def _say_findings(head: str, findings: Sequence[Finding]) -> None:
    for finding in findings[:_SHOWN]:
        where = finding.topic if finding.partition is None else f"{finding.topic}:{finding.partition}"
        span = "" if finding.first_offset is None else f" [{finding.first_offset}, {finding.next_offset})"
        say(f"{head}: {where}{span}: {finding.what}")
    if len(findings) > _SHOWN:
        say(f"{head}: and {len(findings) - _SHOWN} more; --json shows all")


def _document(result: Balance, findings: Sequence[Finding], failed: bool) -> dict[str, object]:
    return {
        "balanced": not findings,
        "failed": failed,
        "raw_records": result.raw_records,
        "deliveries": result.deliveries,
        "items": result.items,
        "tenants": {
            tenant: {
                "name": total.name,
                "raw_records": total.raw_records,
                "events": total.events,
                "quarantined_by_reason": dict(total.quarantined_by_reason),
                "refused_by_reason": dict(total.refused_by_reason),
                "records": total.records,
                "republished": total.republished,
                "waiting": total.waiting,
                "outcomes": {name: total.outcomes[name] for name in (*Outcome, EXPIRED_UNREAD)},
            }
            for tenant, total in result.tenants.items()
        },
        "findings": [asdict(finding) for finding in findings],
        "in_flight": [asdict(finding) for finding in result.in_flight],
    }
