"""What an operator may get wrong with `mkc erasure`: a clear typed answer, another exit code than 0, and nothing half done."""

from pathlib import Path
from uuid import UUID, uuid4

import pytest

from tests.integration.store.cell import Cell
from tests.support.world import Tenant

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

NOBODY = "00000000-0000-0000-0000-000000000000"
PERSON = ("--tenant", "acme", "--identifier", "psid:1")
LIST = ("--tenant", "acme", "--date", "2024-11-20")


@pytest.fixture(scope="module")
def acme(cell: Cell) -> Tenant:
    """A tenant."""
    return cell.world.add_tenant("acme")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("request", "--tenant", "nobody", "--identifier", "psid:1"), 1, "unknown_name"),
        (("request", "--tenant", "acme", "--identifier", "cpf:4711"), 2, "KIND"),
        (("request", "--tenant", "acme", "--identifier", "4711"), 2, "KIND"),
        (("request", "--tenant", "acme", "--identifier", "phone:abc4711"[:9]), 2, "digits"),
        (("request", "--tenant", "acme", "--identifier", "phone:\u00b2"), 2, "digits"),
        (("request", "--tenant", "acme", "--identifier", f"psid:{'4711' * 65}"), 2, "too long"),
        (("request", *PERSON * 65), 2, "at most 64"),
        (("request", *PERSON, "--repeat", "4711"), 2, "repeat"),
        (("request", "--tenant", "acme"), 2, "--identifier"),
        (("preview", *PERSON, "--purpose", " "), 2, "--purpose"),
        (("preview", *PERSON), 2, "--purpose"),
        (("preview", "--tenant", "acme", "--purpose", "x"), 2, "--identifier"),
        (("preview", *PERSON, "--request", NOBODY, "--purpose", "x"), 2, "--request"),
        (("preview", "--request", NOBODY, "--purpose", "x"), 1, "unknown_name"),
        (("preview", "--tenant", "nobody", "--identifier", "psid:1", "--purpose", "x"), 1, "no_such_tenant"),
        (("import", "/nowhere", *LIST), 1, "contract_violation"),
        (("import", "/", *LIST), 1, "contract_violation"),
        (("import", "/nowhere", "--tenant", "acme", "--date", "20.11."), 2, "date"),
        (("import", "/nowhere", "--tenant", "acme", "--date", "2099-01-01"), 2, "date"),
        (("import", "/nowhere", "--tenant", "acme", "--date", "0001-01-01"), 2, "date"),
        (("import", "/nowhere", *LIST, "--kind", "phone"), 2, "--kind"),
        (("status", NOBODY), 1, "unknown_name"),
        (("status", "4711"), 2, "REQUEST"),
        (("status", NOBODY, "--tenant", "acme"), 2, "--tenant"),
        (("status", "--tenant", "nobody"), 1, "unknown_name"),
        (("status", "--limit", "0"), 2, "--limit"),
        (("status", "--limit", "-1"), 2, "--limit"),
        (("approve", NOBODY), 1, "nothing_to_approve"),
        (("approve", "4711"), 2, "REQUEST"),
        (("republish-fences",), 1, "nothing_lost"),
        (("republish-fences", "acme"), 2, "arguments"),
        ((), 2, "request"),
        (("forget",), 2, "forget"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_reason_and_never_quotes_an_identifier(
    cell: Cell, acme: Tenant, arguments: tuple[str, ...], code: int, says: str
) -> None:
    ended, output, errors = cell.world.mkc_raw("erasure", *arguments)
    assert (ended, output) == (code, "")
    assert says in errors
    assert "internal" not in errors
    if arguments[:1] in (("request",), ("preview",)) and "--repeat" not in arguments:
        assert "4711" not in errors


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "no id"),
        (b"user_id\n", "no id"),
        (b"7219\nmaria@example.com\n", "line 2"),
        (b'"7219\n7220', "line 1"),
        (b"7219\r" + b"x" * 200_000, "CSV"),
        (b"72\x0019\n", "line 1"),
        (b"\xff\xfe7\x002\x00", "cannot be read"),
    ],
)
def test_of_a_list_that_cannot_be_read_nothing_is_asked_for(
    cell: Cell, acme: Tenant, tmp_path: Path, text: bytes, says: str
) -> None:
    file = tmp_path / "list.csv"
    file.write_bytes(text)
    ended, output, errors = cell.world.mkc_raw("erasure", "import", str(file), *LIST)
    assert (ended, output) == (1, "")
    assert "contract_violation" in errors
    assert says in errors
    assert cell.world.sql("SELECT FROM mk.erasure_request WHERE origin = 'import'") == []


def test_a_repetition_is_of_the_same_request_or_none(cell: Cell, acme: Tenant) -> None:
    other = uuid4()
    cell.world.sql(
        "INSERT INTO mk.erasure_request (request_id, tenant_id, kind, origin, asked_by, state, told_state, requested_at,"
        " received_at) VALUES ($1, $2, 'subject', 'import', 'operator', 'answered', 'answered', now(), now())",
        other,
        acme.tenant,
    )
    ended, output, errors = cell.world.mkc_raw("erasure", "request", *PERSON, "--repeat", str(other))
    assert (ended, output) == (1, "")
    assert "another_request" in errors
    request = UUID(cell.world.mkc("erasure", "request", *PERSON)["request"])
    assert cell.world.mkc("erasure", "request", *PERSON, "--repeat", str(request))["request"] == str(request)
    cell.world.sql("DELETE FROM mk.erasure_request WHERE request_id = $1", other)
