"""Erasure's signing keys are changed while it runs: what the old ones signed is believed, and the new ones sign from then on."""

import asyncio
import os
from base64 import b64decode
from typing import Any

import pytest

from contracts import audit_checkpoints, fences, topics
from contracts.errors import TamperedRecord
from contracts.receipts import read_keys, verify
from contracts.signing import RIGHTS_BY_PROCESS, KnownSigner, SignerLookup
from deploy.local.identities import RECEIPT_KEY, SIGNING_KEY, make_identities
from runtime.files import write_atomic
from tests.support.erasure import (
    ERASED,
    Requests,
    fenced,
    job,
    person_request,
    psid,
    read_all,
    wait_state,
)
from tests.support.world import World

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


async def change_keys(world: World, requests: Requests) -> bytes:
    """As the runbook says: the public halves first, then the process; the new public signing key."""
    keys = world.service.root / "keys"
    for name in (SIGNING_KEY, RECEIPT_KEY):
        write_atomic(keys / "erasure" / name, os.urandom(32), mode=0o600)
    make_identities(keys)
    new = b64decode((keys / "public" / "erasure.pub").read_text().split()[0])
    await asyncio.to_thread(world.restart, "custodian")
    async with asyncio.timeout(20):
        while requests.view.signers["erasure"].public_raw != new:
            await requests._control.catch_up()
    await asyncio.to_thread(world.restart, "erasure")
    return new


def forget_fences(world: World, schema: str) -> None:
    """A database of before every fence, as its processes meet it: with new connections."""
    world.sql("UPDATE mk.fence_position SET next_offset = 0")
    world.sql(f"DELETE FROM {schema}.erasure_step")
    world.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename IN ('mk_store', 'mk_erasure')"
    )


def is_signed(head: Any, signers: SignerLookup) -> bool:
    """Whether one of these signed a checkpoint of the audit log."""
    try:
        audit_checkpoints.decode(head.key, head.value, tuple(head.headers), signers)
    except TamperedRecord:
        return False
    return True


async def test_fences_receipts_and_the_audit_log_outlive_the_keys_that_signed_them(
    erasing: World, requests: Requests
) -> None:
    tenant = await asyncio.to_thread(erasing.add_tenant, "chaves")
    asked = [await requests.ask(person_request(tenant, psid("8001")))]
    await asyncio.to_thread(wait_state, erasing, asked[0], ERASED[1])
    new = await change_keys(erasing, requests)
    asked.append(await requests.ask(person_request(tenant, psid("8002"))))
    await asyncio.to_thread(wait_state, erasing, asked[1], ERASED[1])

    known = requests.view.signers["erasure"]
    assert (known.public_raw, len(known.others)) == (new, 1)
    assert {one.request for one in await fenced(erasing, requests.view, asked)} == set(asked)

    def is_whole() -> bool:
        steps = erasing.sql(f"SELECT request_id FROM {tenant.schema}.erasure_step WHERE fence IS NOT NULL")
        gates = (erasing.metrics("store")["mk_store_restore_gate_open"],
                 erasing.metrics("erasure")["mk_erasure_restore_gate_open"])  # fmt: skip
        return {row[0] for row in steps} == set(asked) and gates == (1.0, 1.0)

    await asyncio.to_thread(forget_fences, erasing, tenant.schema)
    await asyncio.to_thread(erasing.wait_until, is_whole, 30, "fences of both keys to be applied")

    before = len(await read_all(erasing.stack.endpoints, topics.ERASURE_FENCES))
    done = await asyncio.to_thread(erasing.mkc, "erasure", "republish-fences", "--even-so")
    written = await read_all(erasing.stack.endpoints, topics.ERASURE_FENCES)
    assert done["fences"] == len(written) - before
    only_new = KnownSigner("erasure", new, RIGHTS_BY_PROCESS["erasure"])
    newest = {}
    for record in written:
        newest[record.value] = record
    mine = [one for one in newest.values() if one.key == tenant.tenant.bytes]
    assert {
        fences.decode(one.key, one.value, tuple(one.headers), lambda _name: only_new).request for one in mine
    } == set(asked), "those of the old key stand there once more, signed by the new one"
    await asyncio.to_thread(forget_fences, erasing, tenant.schema)
    await asyncio.to_thread(erasing.wait_until, is_whole, 30, "what was written again to be applied")

    believed = read_keys((erasing.service.root / "keys" / "public" / "receipts.pub").read_text())
    receipts = [verify(job(erasing, one)["receipt"].encode(), believed) for one in asked]
    assert {one.signer for one in receipts} == set(believed)
    # Whether the log is whole is other tests' business: they cut this service's topics.
    heads = await read_all(erasing.stack.endpoints, topics.AUDIT_CHECKPOINTS)
    signed_by_old = [one for one in heads if not is_signed(one, lambda _name: only_new)]
    assert signed_by_old
    assert [one for one in signed_by_old if not is_signed(one, requests.view.signer)] == []
    said = await asyncio.to_thread(erasing.mkc, "audit", "verify", check=False)
    assert said["refused_checkpoints"] == 0
