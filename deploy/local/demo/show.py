"""What `make run` prints: a table of what became of each webhook, the addresses, one line per second. Prints, decides nothing."""

from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from deploy.local.demo.trace import Trace
from deploy.local.processes import STOP_ORDER, Service
from deploy.local.service_node import ServiceNode

console: Final = Console(highlight=False)
_CIPHERTEXT_BYTES: Final = 7
_TEXT_LENGTH: Final = 42


def step(text: str, took_s: float) -> None:
    """One line of progress."""
    console.print(f"[green]✓[/] {text} [dim]{took_s:.1f} s[/]")


def outcomes(traces: list[Trace], plain: dict[str, str], names: dict[str, str]) -> None:
    """The table. `plain`: decrypted text by event id; `names`: tenant id to name."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in (
        "webhook",
        "receiver",
        "mk.raw.v1",
        "tenant's topic: event",
        "row as in psql",
        "read with the key",
    ):
        table.add_column(column, no_wrap=column in ("receiver", "mk.raw.v1", "row as in psql"))
    for trace in traces:
        _add(table, trace, plain, names)
    console.print()
    console.print(table)
    console.print()


def _add(table: Table, trace: Trace, plain: dict[str, str], names: dict[str, str]) -> None:
    raw = f"{trace.raw.partition}:{trace.raw.offset}" if trace.raw else "–"
    status = Text(str(trace.status), style="green" if trace.status == 200 else "yellow")
    if not trace.events:
        table.add_row(trace.sample.title, status, raw, Text(_ending(trace), style="yellow"), "–", "–")
        return
    shown, more = trace.events[:2], len(trace.events) - 2
    for number, event in enumerate(shown):
        first = number == 0
        row = trace.rows.get(event.event_id)
        where = f"{names.get(event.tenant, '?').partition('-')[0]} {event.event_type}"
        if number == 1 and more:
            where, cell, text = f"… {more + 1:,} more", f"{len(trace.rows):,} rows", ""
        else:
            cell = f"\\x{row[:_CIPHERTEXT_BYTES].hex()}…" if row else "not yet"
            text = _short(plain.get(event.event_id, ""))
        table.add_row(
            trace.sample.title if first else "",
            status if first else "",
            raw if first else "",
            where,
            Text(cell, style="dim"),
            Text(text or "–"),
        )


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


def addresses(service: Service, dsn: str) -> None:
    """Where everything is."""
    console.print(f"receiver   [bold]{service.receiver_url}[/]")
    for name in STOP_ORDER:
        base = f"http://127.0.0.1:{service.ports.health[name]}"
        console.print(f"{name:<10} {base}/readyz  {base}/metrics  [dim]{service.node(name).log_path}[/]")
    console.print(f"postgres   psql {dsn}")
    console.print(f"kafka      {service.endpoints.kafka}")
    console.print(
        "operator   .venv/bin/mkc --help   [dim](mkc tenant list, mkc ledger, mkc quarantine list)[/]"
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
