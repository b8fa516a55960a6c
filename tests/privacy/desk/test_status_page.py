"""The status page gives nothing away: not whether somebody is known, not to a neighbour, not to who takes over the desk."""

import hashlib
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from deploy.local.processes import in_own_loop
from store.desk.words import BY_LANGUAGE, ENGLISH, PORTUGUESE, Language
from tests.privacy.desk.conftest import Desk

pytestmark = pytest.mark.postgres
NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(hours=97)


def request_row(
    desk: Desk,
    state: str,
    received_at: datetime = NOW,
    *,
    known: bool = False,
    reason: str | None = None,
    decided_at: datetime | None = None,
) -> str:
    """A callback's row as erasure leaves it; its confirmation code."""
    code, request = secrets.token_hex(16), uuid4()

    async def insert() -> None:
        connection = await asyncpg.connect(desk.logins["mk_erasure"])
        try:
            await connection.execute(
                "INSERT INTO mk.erasure_request (request_id, tenant_id, kind, origin, asked_by, state, reason, account_id,"
                " requested_at, received_at, answered_at, irrecoverable_on, decided_at)"
                " VALUES ($1, $2, 'callback', 'data_deletion', 'ingest', $3, $4, $5, $6, $6, $7, $8, $9)",
                request,
                uuid4() if known else None,
                state,
                reason,
                uuid4() if known else None,
                received_at,
                # An unknown person's request is answered at once, a known one's after its 72 hours.
                (decided_at or received_at) + timedelta(hours=73 if known else 0)
                if state == "answered"
                else None,
                (received_at + timedelta(days=12)).date() if known and state == "answered" else None,
                decided_at,
            )
            await connection.execute(
                "INSERT INTO mk.erasure_code (code_sha256, request_id) VALUES ($1, $2)",
                hashlib.sha256(code.encode()).digest(),
                request,
            )
        finally:
            await connection.close()

    in_own_loop(insert())
    return code


def test_a_known_persons_request_and_an_unknown_ones_look_the_same_at_every_moment(desk: Desk) -> None:
    languages: tuple[Language, ...] = ("pt-BR", "en")
    for hours in (0, 1, 71, 74, 95, 97, 24 * 30):
        received = NOW - timedelta(hours=hours)
        unknown = request_row(desk, "answered", received)
        # While the known person's waits for its 72 hours, and after it.
        known = request_row(desk, "answered" if hours > 73 else "decided", received, known=True)
        for language in languages:
            first, second = [desk.get(f"/erasure/{code}?lang={language}") for code in (unknown, known)]
            assert first[0] == 200
            assert first[2] == second[2], hours
            dropped = ("date",)
            assert {k: v for k, v in first[1].items() if k not in dropped} == {
                k: v for k, v in second[1].items() if k not in dropped
            }
            expected = "completed" if hours > 96 else "processing"
            assert BY_LANGUAGE[language].stages[expected].encode() in first[2]


@pytest.mark.parametrize("hours", [70, 95, 97])
def test_they_look_the_same_also_when_erasure_was_away_and_decided_late(desk: Desk, hours: int) -> None:
    """The restriction begins with the decision: counted from the receipt, a stranger's would be seen to end before it."""
    decided = NOW - timedelta(hours=hours)
    received = decided - timedelta(hours=40)
    unknown = request_row(desk, "answered", received, decided_at=decided)
    state = "answered" if hours > 73 else "decided"
    known = request_row(desk, state, received, known=True, decided_at=decided)
    first, second = [desk.get(f"/erasure/{code}?lang=en") for code in (unknown, known)]
    assert first[2] == second[2]
    assert ENGLISH.stages["completed" if hours > 96 else "processing"].encode() in first[2]


def test_a_code_without_a_request_and_what_is_no_code_are_one_page(desk: Desk) -> None:
    pages = [
        desk.get(f"/erasure/{code}", Accept_Language="en")
        for code in (
            secrets.token_hex(16),
            "x",
            "",
            "%00",
            "..%2f..",
            "a" * 5_000,
            "'%20OR%201=1",
            "%ff",
            "a/b",
        )
    ]
    pages.append(desk.get("/", Accept_Language="en"))
    assert {status for status, _, _ in pages} == {404}
    assert len({body for _, _, body in pages}) == 1
    assert ENGLISH.unknown.encode() in pages[0][2]


def test_a_refusal_is_shown_with_its_reason_and_an_unfinished_request_never_as_complete(desk: Desk) -> None:
    # A refusal's own time is when it was refused: that it came late holds up nobody's answer.
    code = request_row(desk, "refused", LONG_AGO, known=True, reason="legal_hold", decided_at=NOW)
    refused = desk.get(f"/erasure/{code}")
    assert PORTUGUESE.reasons["legal_hold"].encode() in refused[2]
    for state in ("received", "decided", "executing", "live_erased"):
        page = desk.get(f"/erasure/{request_row(desk, state, LONG_AGO, known=True)}")[2].decode()
        assert PORTUGUESE.stages["processing"] in page
        assert PORTUGUESE.stages["completed"] not in page


def test_the_language_follows_the_visitor_and_every_answer_has_the_strict_headers(desk: Desk) -> None:
    code = request_row(desk, "received")
    for accepted, words in (("pt-BR", PORTUGUESE), ("en-US,en", ENGLISH), ("", PORTUGUESE)):
        status, headers, body = desk.get(f"/erasure/{code}", Accept_Language=accepted)
        assert status == 200
        assert words.title.encode() in body
        assert headers["content-language"] == ("en" if words is ENGLISH else "pt-BR")
    for path, method in ((f"/erasure/{code}", "GET"), ("/x", "GET"), (f"/erasure/{code}", "POST")):
        _, headers, _ = desk.get(path, method)
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert "noindex" in headers["x-robots-tag"]
        assert headers["server"] == "mkchannels"
        assert "set-cookie" not in headers
    assert desk.get(f"/erasure/{code}", "POST")[0] == 405
    assert desk.get(f"/erasure/{code}", "HEAD")[2] == b""


def test_neither_a_code_nor_an_address_is_in_the_log_or_the_metrics(desk: Desk) -> None:
    code = request_row(desk, "received")
    desk.get(f"/erasure/{code}", X_Forwarded_For="203.0.113.77")
    shown = desk.log() + replace(desk, port=desk.health_port).get("/metrics")[2].decode()
    assert 'mk_desk_pages_total{result="shown"}' in shown
    for hidden in (code, hashlib.sha256(code.encode()).hexdigest(), "203.0.113.77", "/erasure/"):
        assert hidden not in shown


def test_too_many_pages_for_one_address_are_refused_and_its_neighbours_are_served(
    desk: Desk, tmp_path: Path
) -> None:
    limited = Desk(desk.logins, tmp_path)
    limited.start(PAGES_PER_MINUTE="3", TRUSTED_PROXIES="1")
    try:
        code = request_row(desk, "received")

        def statuses(*forwarded: str) -> list[int]:
            return [limited.get(f"/erasure/{code}", X_Forwarded_For=one)[0] for one in forwarded]

        assert statuses(*["198.51.100.1"] * 4) == [200, 200, 200, 429]
        # What the visitor wrote there is further left.
        assert statuses("203.0.113.9, 198.51.100.1") == [429]
        assert statuses("198.51.100.1, 198.51.100.2") == [200]
        assert statuses(*(f"2001:db8:1:2::{number}" for number in range(4))) == [200, 200, 200, 429]
        assert statuses("2001:db8:1:3::1") == [200]
        status, headers, body = limited.get(
            "/erasure/x", X_Forwarded_For="198.51.100.1", Accept_Language="en"
        )
        assert (status, headers["retry-after"]) == (429, "60")
        assert ENGLISH.limited.encode() in body
    finally:
        assert limited.stop() == 0


def test_without_its_database_it_says_so_and_stays_up(desk: Desk, tmp_path: Path) -> None:
    away = Desk(desk.logins | {"mk_desk": "postgresql://mk_desk@127.0.0.1:9/nowhere"}, tmp_path)
    away.start(is_ready=False)
    try:
        status, headers, body = away.get(f"/erasure/{secrets.token_hex(16)}", Accept_Language="en")
        assert (status, headers["retry-after"]) == (503, "60")
        assert ENGLISH.away.encode() in body
    finally:
        assert away.stop() == 0


async def test_who_takes_over_the_desk_can_ask_for_a_code_and_nothing_else(desk: Desk) -> None:
    code = request_row(desk, "answered", LONG_AGO, known=True)
    connection = await asyncpg.connect(desk.logins["mk_desk"])
    try:
        digest = hashlib.sha256(code.encode()).digest()
        row = await connection.fetchrow("SELECT * FROM mk.erasure_page($1)", digest)
        assert row is not None
        assert set(row.keys()) == {
            "stage",
            "reason",
            "received_at",
            "due_on",
            "ended_at",
            "irrecoverable_on",
        }
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'mk'")
        assert len(tables) > 15
        for table in (row["tablename"] for row in tables if row["tablename"] != "migration"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"SELECT * FROM mk.{table}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("SET ROLE mk_owner")
    finally:
        await connection.close()
    for login in ("mk_store", "mk_reader"):
        other = await asyncpg.connect(desk.logins[login])
        try:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await other.fetch("SELECT * FROM mk.erasure_page($1)", bytes(32))
        finally:
            await other.close()
