"""The receipt of an erased person: says what was done, verifies offline and holds nothing of them; the log holds it all."""

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from contracts.outcomes import State
from contracts.receipts import read_keys, verify
from tests.support.bodies import encode, messenger
from tests.support.erasure import Requests, person_request, psid, told, wait_state
from tests.support.world import Tenant, World

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

PERSON, TEXT, PAGE = "9817263544710", "o segredo da canaria", "830000000000077"


@pytest.fixture(scope="module")
def tenant(erasing: World) -> Tenant:
    found = erasing.add_tenant("recibo")
    erasing.connect(found, "messenger", {"page": PAGE})
    return found


async def _erased(erasing: World, requests: Requests, tenant: Tenant, sample: Path) -> Any:
    for number, person in enumerate((PERSON, PERSON, PERSON, "4711")):
        body = messenger(f"m_receipt_{number}", TEXT, page=PAGE, person=person)
        assert await asyncio.to_thread(erasing.post, encode(body)) == 200
    await asyncio.to_thread(erasing.wait_rows, tenant, 4)
    assert erasing.mkc_raw("receipt", "sample", tenant.name, str(sample))[0] == 0
    assert erasing.mkc_raw("receipt", "sample", tenant.name, str(sample), "--limit", "-1")[0] == 2
    assert erasing.mkc_raw("receipt", "sample", tenant.name, str(sample / "none"))[0] == 2
    asked = await requests.ask(person_request(tenant, psid(PERSON)))
    return await asyncio.to_thread(wait_state, erasing, asked, State.ANSWERED)


async def test_the_receipt_says_what_was_done_and_holds_nothing_of_the_person(
    erasing: World, requests: Requests, tenant: Tenant, tmp_path: Path
) -> None:
    sample = tmp_path / "before.jsonl"
    row = await _erased(erasing, requests, tenant, sample)
    raw = row["receipt"].encode()
    keys = read_keys((erasing.service.root / "keys" / "public" / "receipts.pub").read_text())
    receipt = verify(raw, keys)
    assert (receipt.protocol, receipt.kind, receipt.origin) == (row["request_id"], "subject", "operator")
    assert receipt.identity == "confirmed_by_operator"
    assert [(party.role, party.tenant) for party in receipt.parties] == [
        ("controller", tenant.tenant),
        ("operator", None),
    ]
    assert {one.category: one.count for one in receipt.erased} == {"messages": 3, "identifiers": 1, "keys": 1}
    assert {one.system: one.method for one in receipt.removals if one.at_ms} == {
        "postgres.subject_keys": "key_destroyed",
        "postgres.rows": "row_deleted",
    }
    assert all(one.on for one in receipt.removals if one.method == "expires_on")
    systems = [one.system for one in receipt.removals]
    assert sorted(systems) == sorted(set(systems)), "each system is named once"
    assert receipt.irrecoverable_on == row["irrecoverable_on"] is not None
    assert {one.what for one in receipt.kept} == {"fence", "tombstones", "evidence", "access_records"}
    assert {one.who for one in receipt.told} == {"stores", "tenant_readers"}
    assert (
        receipt.received_at_ms
        <= (receipt.executed_at_ms or 0)
        <= receipt.live_erased_at_ms
        <= receipt.issued_at_ms
    )
    step = erasing.sql(
        f"SELECT * FROM {tenant.schema}.erasure_step WHERE request_id = $1", row["request_id"]
    )[0]
    (subject,) = receipt.subjects
    assert (subject.generation, subject.watermark_s) == (1, int(step["watermark"].timestamp()))

    pseudonyms = erasing.sql(f"SELECT pseudonym FROM {tenant.schema}.alias")
    personal = [PERSON, TEXT, str(step["subject_id"]), *(one["pseudonym"].hex() for one in pseudonyms)]
    assert [text for text in personal if text.encode() in raw] == []
    last = [one for one in await told(erasing, requests.view, [row["request_id"]]) if one.receipt]
    assert [one.receipt for one in last] == [row["receipt"]]

    file = tmp_path / "receipt.json"
    file.write_bytes(raw)
    code, said, _ = erasing.mkc_raw("receipt", "verify", str(file))
    assert code == 0
    assert "3 messages" in said
    live = erasing.mkc("receipt", "verify", str(file), "--live", "--sample", str(sample))["live"]
    assert live["gone"]
    assert live["found"] == []
    assert {
        "keys of erased generations in the database: 0",
        "rows of erased generations: 0",
        "identifiers that are not fenced: 0",
        "samples of erased people: 3",
        "samples of erased people that open: 0",
        "samples of others that open: 1 of 1",
        "records of the person on the tenant's topic that read as erased: 3",
        "records of the person on the tenant's topic that still read: 0",
    } <= set(live["seen"])
    assert any("root epoch 1" in one for one in live["waits"])
    # A row of the erased generation comes back: it must be found.
    other = erasing.rows(tenant)[0]["subject_id"]
    move = f"UPDATE {tenant.schema}.message SET subject_id = $1 WHERE subject_id = $2"
    erasing.sql(move, step["subject_id"], other)
    planted = erasing.mkc("receipt", "verify", str(file), "--live", check=False)["live"]
    assert planted["found"] == ["rows of erased generations: 1"]
    erasing.sql(move, other, step["subject_id"])
    file.write_bytes(raw.replace(b'"count":3', b'"count":2'))
    assert erasing.mkc_raw("receipt", "verify", str(file))[:2] == (
        1,
        "NOT genuine: receipt_changed: the signature is of another content\n",
    )

    entries = [
        entry
        for one in erasing.sql("SELECT entry FROM mk.audit_entry ORDER BY id")
        if (entry := json.loads(one["entry"])).get("request") == str(row["request_id"])
    ]
    assert [one["what"] for one in entries] == [
        "erasure.received",
        "erasure.decided",
        "erasure.executing",
        "erasure.executed",
        "erasure.live_erased",
        "receipt.issued",
        "erasure.answered",
    ]
    assert entries[5]["digest"] == hashlib.sha256(raw).hexdigest()
    erasing.wait_until(lambda: erasing.mkc("audit", "verify")["waiting"] == 0, 10, "the log to be anchored")
    verified = erasing.mkc("audit", "verify")
    assert verified["verified"]
    assert verified["anchored"] >= receipt.audit.tree_size + 2
    proof = erasing.mkc("audit", "proof", entries[3]["entry"])
    assert proof["holds"]
    assert proof["leaf"] < receipt.audit.tree_size
