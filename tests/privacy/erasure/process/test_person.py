"""A person is erased: from the request's record to the last word on Kafka."""

import asyncio

import pytest

from contracts import topics
from contracts.outcomes import State
from tests.support.bodies import encode, messenger
from tests.support.erasure import (
    ERASED,
    Requests,
    fenced,
    person_request,
    psid,
    read_all,
    told,
    wait_state,
)
from tests.support.world import World

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


async def test_a_person_is_gone_and_everybody_was_told(erasing: World, requests: Requests) -> None:
    tenant = await asyncio.to_thread(erasing.add_tenant, "apaga-uma")
    page = "830000000000021"
    await asyncio.to_thread(erasing.connect, tenant, "messenger", {"page": page})
    assert erasing.post(encode(messenger("m_1", "segredo", page=page, person="4711"))) == 200
    assert erasing.post(encode(messenger("m_2", "fica", page=page, person="4712"))) == 200
    erasing.wait_rows(tenant, 2)

    asked = await requests.ask(person_request(tenant, psid("4711")))
    row = await asyncio.to_thread(wait_state, erasing, asked, *ERASED)

    assert row["executed_at"] >= row["decided_at"]
    kept = erasing.rows(tenant)
    assert len(kept) == 1
    subjects = erasing.sql(f"SELECT * FROM {tenant.schema}.subject ORDER BY generation")
    assert [(one["generation"], one["wrapped_dek"] is None) for one in subjects] == [(1, False), (2, True)]
    states = [outcome.state for outcome in await told(erasing, requests.view, [asked])]
    assert states[:4] == [State.RECEIVED, State.DECIDED, State.EXECUTING, State.LIVE_ERASED]
    (fence,) = await fenced(erasing, requests.view, [asked])
    assert (fence.generation, len(fence.pseudonyms)) == (1, 1)
    notices = [
        one
        for one in await read_all(erasing.stack.endpoints, topics.tenant_events_topic(tenant.slot))
        if one.key == asked.bytes
    ]
    assert {one.partition for one in notices} == {0}
    assert erasing.outcomes(tenant)["notice"] == 1
