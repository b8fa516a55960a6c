"""What `make run` prints: a table of what became of each webhook, the addresses, one line per second. Prints, decides nothing."""

import os
from typing import Final

from rich.console import Console
from rich.text import Text

from deploy.local.demo.erasing import Erasing
from deploy.local.demo.trace import Trace
from deploy.local.processes import STOP_ORDER, Service
from deploy.local.service_node import ServiceNode

console: Final = Console(highlight=False)
_CIPHERTEXT_BYTES: Final = 7
_TEXT_LENGTH: Final = 36
_EVENTS_SHOWN: Final = 2


def step(text: str, took_s: float) -> None:
    """One line of progress."""
    console.print(f"[green]✓[/] {text} [dim]{took_s:.1f} s[/]")


def outcomes(traces: list[Trace], plain: dict[str, str], names: dict[str, str]) -> None:
    """What became of each. `plain`: decrypted text by event id; `names`: tenant id to name."""
    console.print(
        f"\n[bold]{_line('webhook', 'answer', 'on raw', 'tenant and event', 'row as psql sees')}[/]",
        soft_wrap=True,
    )
    for trace in traces:
        _show(trace, plain, names)
    console.print()


def _show(trace: Trace, plain: dict[str, str], names: dict[str, str]) -> None:
    raw = f"{trace.raw.partition}:{trace.raw.offset}" if trace.raw else "–"
    head = (trace.sample.title, str(trace.status), raw)
    if not trace.events:
        _say(_line(*head, _ending(trace), "–"), "yellow")
        return
    for event in trace.events[:_EVENTS_SHOWN]:
        row = trace.rows.get(event.event_id)
        cell = f"\\x{row[:_CIPHERTEXT_BYTES].hex()}…" if row else "not yet"
        tenant = names.get(event.tenant, "?")
        _say(_line(*head, f"{tenant} {event.event_type}", cell), "")
        if text := plain.get(event.event_id):
            _say(f"{'':<22}read with the key: “{_short(text)}”", "green")
        elif trace.sample.taken_back:
            _say(f"{'':<22}taken back by its author: the row is erased", "green")
        head = ("", "", "")
    more = len(trace.events) - _EVENTS_SHOWN
    if more > 0:
        _say(f"{'':<22}… and {more:,} more: {len(trace.rows):,} rows in all", "dim")


def _line(title: str, answer: str, raw: str, topic: str, cell: str) -> str:
    return f"{title:<22}{answer:<7}{raw:<8}{topic:<26}{cell}".rstrip()


def _say(line: str, style: str) -> None:
    console.print(Text(line, style=style), soft_wrap=True)


def _ending(trace: Trace) -> str:
    if trace.raw is None:
        return "refused, nothing kept"
    if trace.line is None:
        return "not routed yet"
    for counts in trace.line.tenants.values():
        if counts.quarantined:
            return f"quarantined: {', '.join(counts.quarantined)}"
        if counts.refused:
            return f"refused: {', '.join(counts.refused)}"
    return "nothing in it"


def _short(text: str) -> str:
    return text if len(text) <= _TEXT_LENGTH else text[: _TEXT_LENGTH - 1] + "…"


def erasing(seen: Erasing, person: str) -> None:
    """What became of the person who was erased, and the receipt."""
    console.print(f"[bold]{person} is erased[/]  [dim]mkc erasure status {seen.request}[/]", soft_wrap=True)
    states = " → ".join(f"{state} {took_s:.2f} s" for state, took_s in seen.states)
    receipt, live = seen.verified["receipt"], seen.verified["live"]
    rows = (
        ("states", states),
        ("rows", f"{seen.rows_before} before, {seen.rows_after} now; keys left: {seen.keys_left}"),
        ("readers", f"{seen.read_as_erased} events on the tenant's topic read as erased"),
        ("receipt", f"protocol {receipt['protocol']}, signed with key {receipt['signer']}"),
        ("", "; ".join(f"{one['count']} {one['category']}" for one in receipt["erased"]) + " erased"),
        ("", f"irrecoverable on {receipt['irrecoverable_on']}, in backups and logs too"),
        ("", "; ".join(f"{one['what']} until {one['until']}" for one in receipt["kept"]) + " kept"),
        ("verified", "offline by its signature; one changed figure: receipt_changed"),
        ("", f"live with every key: {'nothing found' if live['gone'] else live['found']}"),
    )
    for name, text in rows:
        _say(f"{name:<11}{text}", "green" if name == "verified" else "")
    console.print()


def addresses(service: Service, dsn: str) -> None:
    """Where everything is; logs relative to the working folder, where the reader stands."""
    console.print(f"receiver   [bold]{service.receiver_url}[/]")
    console.print(f"page       [bold]{service.page_url}[/]/<confirmation code>")
    for name in STOP_ORDER:
        base = f"http://127.0.0.1:{service.ports.health[name]}"
        log = os.path.relpath(service.node(name).log_path)
        console.print(f"{name:<10} {base}/readyz  /metrics  [dim]{log}[/]", soft_wrap=True)
    console.print(f"postgres   psql {dsn}", soft_wrap=True)
    console.print(f"kafka      {service.endpoints.kafka}")
    console.print(
        "operator   .venv/bin/mkc --help  [dim](or: mkc ledger, mkc tenant list, mkc doctor)[/]",
        soft_wrap=True,
    )


def follow_line(nodes: dict[str, ServiceNode]) -> str:
    """One second's state: accepted, routed, stored, oldest age."""
    samples = {name: node.metrics() for name, node in nodes.items()}

    def total(process: str, metric: str) -> int:
        return int(sum(value for name, value in samples[process].items() if name.partition("{")[0] == metric))

    stored = samples["store"].get('mk_store_records_total{outcome="stored"}', 0)
    ages = (
        samples["ingest"].get("mk_ingest_oldest_waiting_seconds", 0),
        samples["router"].get("mk_router_oldest_unrouted_seconds", 0),
        samples["store"].get("mk_store_oldest_unstored_seconds", 0),
    )
    away = [name for name, found in samples.items() if not found]
    line = (
        f"accepted {total('ingest', 'mk_ingest_deliveries_accepted_total'):>7,}"
        f"   routed {total('router', 'mk_router_deliveries_routed_total'):>7,}"
        f"   stored {int(stored):>7,}   oldest {max(ages):>5.1f} s"
    )
    return f"{line}   [red]no answer: {', '.join(away)}[/]" if away else line
