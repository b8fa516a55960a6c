"""The operator's commands end to end: any identifier erases all, what was counted before is what the receipt says."""

import json
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from contracts.outcomes import State
from tests.support.bodies import delivery, encode, messenger, whatsapp_message
from tests.support.erasure import job, wait_state
from tests.support.world import MkcFailed, Tenant, World

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

PAGE, INSTAGRAM = "830000000000101", "17849000000000101"
WABA, NUMBER = "730000000000101", "730000000000201"


@pytest.fixture(scope="module")
def acme(erasing: World) -> Tenant:
    """A tenant with an account of each product."""
    tenant = erasing.add_tenant("acme")
    erasing.connect(tenant, "messenger", {"page": PAGE})
    erasing.connect(tenant, "instagram", {"instagram": INSTAGRAM})
    erasing.connect(tenant, "whatsapp", {"waba": WABA, "phone-number-id": NUMBER})
    return tenant


def chat(field: str, **value: Any) -> bytes:
    """A WhatsApp delivery of one field."""
    filled = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "553133445566", "phone_number_id": NUMBER},
        **value,
    }
    entry = {"id": WABA, "changes": [{"field": field, "value": filled}]}
    return encode(delivery("whatsapp_business_account", [entry]))


def said(wamid: str, phone: str | None, bsuid: str | None) -> bytes:
    """A message of somebody known by a phone, a BSUID or both."""
    message = whatsapp_message(wamid, f"texto {wamid}")
    contact: dict[str, Any] = {"profile": {"name": "Teste"}}
    del message["from"]
    if phone is not None:
        message["from"] = contact["wa_id"] = phone
    if bsuid is not None:
        message["from_user_id"] = contact["user_id"] = bsuid
    return chat("messages", contacts=[contact], messages=[message])


def renamed(previous: str, current: str) -> bytes:
    """`user_id_update`."""
    update = {"user_id": {"previous": previous, "current": current}, "timestamp": str(int(time.time()))}
    return chat("user_id_update", user_id_update=[update])


def new_number(wamid: str, old: str, new: str) -> bytes:
    """A system message: somebody's number changed."""
    system = {"body": "x", "type": "user_changed_number", "wa_id": new}
    return chat(
        "messages",
        messages=[
            {"from": old, "id": wamid, "timestamp": str(int(time.time())), "type": "system", "system": system}
        ],
    )


def post_all(world: World, tenant: Tenant, *bodies: bytes) -> None:
    """Each is a row before the next is posted."""
    for body in bodies:
        before = world.row_count(tenant)
        assert world.post(body) == 200
        world.wait_rows(tenant, before + 1)


def erase(world: World, tenant: Tenant, *identifiers: str) -> UUID:
    """`mkc erasure request`; its id."""
    named = [part for one in identifiers for part in ("--identifier", one)]
    return UUID(world.mkc("erasure", "request", "--tenant", tenant.name, *named)["request"])


def test_whichever_identifier_is_given_everything_of_the_person_goes_and_nothing_else(
    erasing: World, acme: Tenant
) -> None:
    people = {
        "phone:+55 11 98765-0001": ("5511987650001", "BR.1001", "BR.2001"),
        "phone:551187650002": ("5511987650002", "BR.1002", "BR.2002"),
        "phone:5511987650003": ("551187650003", "BR.1003", "BR.2003"),
        "bsuid:BR.1004": ("5511987650004", "BR.1004", "BR.2004"),
        "bsuid:BR.2005": ("5511987650005", "BR.1005", "BR.2005"),
    }
    for number, (phone, old, new) in enumerate(people.values()):
        post_all(
            erasing,
            acme,
            said(f"wamid.a{number}", phone, old),
            renamed(old, new),
            said(f"wamid.b{number}", None, new),
        )
    instagram = messenger("m_ig", "oi", page=INSTAGRAM, person="9001") | {"object": "instagram"}
    post_all(erasing, acme, encode(messenger("m_fb", "oi", page=PAGE, person="8001")), encode(instagram))
    others = erasing.row_count(acme) - 3 * len(people) - 2
    asked = {erase(erasing, acme, identifier): 3 for identifier in people}
    asked |= {erase(erasing, acme, "psid:8001"): 1, erase(erasing, acme, "igsid:9001"): 1}
    for request, rows in asked.items():
        wait_state(erasing, request, State.LIVE_ERASED, State.ANSWERED, timeout_s=60)
        steps = erasing.sql(
            f"SELECT rows_deleted FROM {acme.schema}.erasure_step WHERE request_id = $1", request
        )
        assert [step["rows_deleted"] for step in steps] == [rows]
    assert erasing.row_count(acme) == others


def test_what_is_counted_before_is_what_the_receipt_says_and_the_status_says_what_is_left(
    erasing: World, acme: Tenant
) -> None:
    phone, bsuid = "5521987650010", "BR.1010"
    post_all(erasing, acme, said("wamid.c1", phone, bsuid), said("wamid.c2", phone, bsuid))
    person = ("--tenant", acme.name, "--identifier", f"bsuid:{bsuid}")
    before = erasing.mkc("erasure", "preview", *person, "--purpose", "protocol 1")
    assert (before["rows_in_all"], before["subjects"], before["keys"], before["unknown"]) == (2, 1, 1, 0)
    assert before["aliases"] == 3  # the BSUID and both forms of the number
    assert sum(before["rows"].values()) == 2
    assert set(before["rows"]) <= {row[0] for row in erasing.sql("SELECT relname FROM pg_class")}
    topic = next(name for name in before["records"] if name.startswith("mk.t."))
    assert sum(before["records"][topic].values()) == 2
    assert sum(before["records"]["mk.quarantine.tenant.v1"].values()) == 0
    read = erasing.sql("SELECT object, purpose, rows_read FROM mk.access_record ORDER BY id DESC LIMIT 1")[0]
    assert tuple(read) == ("preview of an erasure", "protocol 1", 2)
    assert erasing.row_count(acme) >= 2

    request = erase(erasing, acme, f"phone:{phone}")
    row = wait_state(erasing, request, State.ANSWERED, timeout_s=60)
    receipt = json.loads(row["receipt"])["receipt"]
    counted = {one["category"]: one["count"] for one in receipt["erased"]}
    assert counted == {"messages": 2, "identifiers": 3, "keys": 1}
    expiring = {one["system"]: one["on"] for one in receipt["removals"] if one["method"] == "expires_on"}
    assert {"postgres.wal_and_backups", "kafka.tenant_events", "kafka.raw"} <= set(expiring)
    status = erasing.mkc("erasure", "status", str(request))
    assert (status["state"], status["rows_deleted"], status["lanes_behind"]) == ("answered", 2, [])
    assert status["irrecoverable_on"] == receipt["irrecoverable_on"] == max(expiring.values())
    assert {"root:1"} <= {copy["key"] for copy in status["copies"]}
    listed = erasing.mkc("erasure", "status", "--tenant", acme.name)
    assert str(request) in {one["request_id"] for one in listed}


def test_a_join_that_comes_after_the_erasure_takes_what_was_there_before_it(
    erasing: World, acme: Tenant
) -> None:
    old, new = "5531987650020", "5531987650021"
    post_all(erasing, acme, said("wamid.d1", old, None), said("wamid.d2", new, None))
    before = erasing.row_count(acme)
    wait_state(erasing, erase(erasing, acme, f"phone:{old}"), State.ANSWERED, timeout_s=60)
    assert erasing.row_count(acme) == before - 1
    assert erasing.post(new_number("wamid.d3", old, new)) == 200

    def joined() -> Any:
        rows = erasing.sql("SELECT request_id FROM mk.erasure_request WHERE origin = 'join'")
        return rows[0]["request_id"] if rows else None

    wait_state(
        erasing, erasing.wait_until(joined, 20, "the join to be a request"), State.ANSWERED, timeout_s=60
    )
    left = erasing.sql(f"SELECT event_type FROM {acme.schema}.message")
    assert len(left) <= before - 2 + 1  # the two messages; the notice itself may be later than the watermark


def unsent(mid: str, person: str) -> bytes:
    """Instagram says that somebody took a message back."""
    body = messenger(mid, "", page=INSTAGRAM, person=person) | {"object": "instagram"}
    body["entry"][0]["messaging"][0]["message"] = {"mid": mid, "is_deleted": True}
    return encode(body)


def test_a_message_taken_back_goes_and_one_taken_back_before_it_came_never_arrives(
    erasing: World, acme: Tenant
) -> None:
    def direct(mid: str) -> bytes:
        return encode(messenger(mid, "segredo", page=INSTAGRAM, person="9100") | {"object": "instagram"})

    def ended(count: int) -> bool:
        rows = erasing.sql("SELECT state FROM mk.erasure_request WHERE kind = 'message'")
        return [row["state"] for row in rows] == [State.ANSWERED] * count

    def stones() -> int:
        return int(erasing.sql(f"SELECT count(*) FROM {acme.schema}.tombstone WHERE kind = 'r'")[0][0])

    before = stones()
    post_all(erasing, acme, direct("m_u1"), direct("m_u2"))
    assert erasing.post(unsent("m_u1", "9100")) == erasing.post(unsent("m_u3", "9100")) == 200
    erasing.wait_until(lambda: ended(2), 60, "both unsends to be answered")
    fenced = erasing.outcomes(acme)["fenced"]
    assert erasing.post(direct("m_u3")) == 200
    erasing.wait_until(
        lambda: erasing.outcomes(acme)["fenced"] == fenced + 1, 20, "the late message to be dropped"
    )
    kinds = erasing.sql(
        f"SELECT event_type, count(*) FROM {acme.schema}.message m JOIN {acme.schema}.alias a USING (subject_id)"
        " WHERE m.subject_id = (SELECT subject_id FROM {s}.message WHERE event_type = 'message.unsent' LIMIT 1)"
        " GROUP BY event_type ORDER BY event_type".replace("{s}", acme.schema)
    )
    assert [tuple(row) for row in kinds] == [("message.received", 1), ("message.unsent", 2)]
    assert stones() == before + 2
    receipts = erasing.sql(
        "SELECT receipt FROM mk.erasure_request WHERE kind = 'message' ORDER BY received_at"
    )
    erased = [json.loads(row["receipt"])["receipt"]["erased"] for row in receipts]
    assert sorted(erased, key=len) == [[], [{"category": "messages", "count": 1}]]


def test_a_list_is_asked_for_once_however_often_it_is_imported(
    erasing: World, acme: Tenant, tmp_path: Path
) -> None:
    post_all(erasing, acme, encode(messenger("m_l1", "oi", page=PAGE, person="8101")))
    before = erasing.row_count(acme)
    file = tmp_path / "list.csv"
    file.write_text("user_id\n8101\n999999\n")
    options = ("erasure", "import", str(file), "--tenant", acme.name, "--date", "2024-11-20")
    first = erasing.mkc(*options)
    assert (first["entries"], len(first["requests"])) == (2, 4)
    for request in first["requests"]:
        wait_state(erasing, UUID(request), State.ANSWERED, timeout_s=60)
    assert erasing.row_count(acme) == before - 1
    post_all(
        erasing,
        acme,
        encode(
            messenger("m_l2", "oi de novo", page=PAGE, person="8101", at_ms=int(time.time() * 1000) + 2_000)
        ),
    )
    assert erasing.mkc(*options) == first
    requests = erasing.sql("SELECT count(*) FROM mk.erasure_request WHERE origin = 'import'")
    assert requests[0][0] == 4
    assert erasing.row_count(acme) == before


def test_an_account_waits_for_its_hours_or_another_persons_word(
    erasing: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = erasing.add_tenant("leaves")
    account = erasing.connect(tenant, "messenger", {"page": "830000000000999"})
    post_all(erasing, tenant, encode(messenger("m_q1", "oi", page="830000000000999", person="8201")))
    monkeypatch.setenv("MKC_OPERATOR_NAME", "ana")
    erasing.mkc("account", "disconnect", str(account))

    def waiting() -> Any:
        rows = erasing.mkc("erasure", "status", "--tenant", tenant.name)
        return rows and rows[0]["state"] == "decided" and rows[0]

    request = erasing.wait_until(waiting, 20, "the request to be decided")
    assert (request["kind"], request["origin"]) == ("account", "consent_withdrawn")
    assert request["execute_after"] is not None
    with pytest.raises(MkcFailed, match="not_for_who_asked"):
        erasing.mkc("erasure", "approve", request["request_id"])
    assert job(erasing, UUID(request["request_id"]))["state"] == "decided"
    assert erasing.row_count(tenant) == 1
    monkeypatch.setenv("MKC_OPERATOR_NAME", "bia")
    look = ("erasure", "preview", "--request", request["request_id"], "--purpose", "before I approve it")
    before = erasing.mkc(*look)
    assert (before["rows_in_all"], before["subjects"], before["keys"], before["aliases"]) == (1, 1, 1, 0)
    assert sum(next(iter(before["records"].values())).values()) == 1
    erasing.mkc("erasure", "approve", request["request_id"])
    row = wait_state(erasing, UUID(request["request_id"]), State.ANSWERED, timeout_s=60)
    counted = {one["category"]: one["count"] for one in json.loads(row["receipt"])["receipt"]["erased"]}
    assert counted == {"messages": before["rows_in_all"], "keys": before["keys"]}
    assert erasing.row_count(tenant) == 0
    with pytest.raises(MkcFailed, match="nothing_to_preview"):
        erasing.mkc(*look)
    with pytest.raises(MkcFailed, match="nothing_to_approve"):
        erasing.mkc("erasure", "approve", request["request_id"])
