"""The short way through the commonest deliveries gives exactly what the general way gives. PERFORMANCE.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from router.split import BadItem, Item, split
from router.split.delivery import walk
from router.split.plain_chat import plain_chat
from tests.fixtures.meta import bodies as meta

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
OBJECT = "whatsapp_business_account"


def both_ways(delivery: Any) -> tuple[list[Item | BadItem] | None, list[Item | BadItem]]:
    return plain_chat(delivery), walk(
        delivery["object"], delivery, delivery["entry"], doubts_depth=False, large=False
    )


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason="needs ../shared/corpus")
def test_most_single_chats_of_the_corpus_go_the_short_way_to_the_same_end() -> None:
    short = 0
    for path in sorted(CORPUS.rglob("*.json")):
        delivery = json.loads(path.read_bytes())
        if isinstance(delivery, dict) and delivery.get("object") == OBJECT and delivery.get("entry"):
            quick, general = both_ways(delivery)
            assert quick in (None, general), path.name
            short += quick is not None
    assert short > 60


IDS: st.SearchStrategy[object] = st.sampled_from(
    [None, "", meta.CUSTOMER, "553188887777", "14155550100", "BR.1", "BR.ENT.1", 7, {}]
)
ODD: st.SearchStrategy[object] = st.sampled_from([None, 0, "x", [], {}, ["x"]])
KINDS = st.sampled_from(
    [
        {"type": "text", "text": {"body": "Oi"}},
        {"type": "image", "image": {"id": "1"}},
        {"type": "reaction", "reaction": {"message_id": "w", "emoji": "👍"}},
        {"type": "revoke", "revoke": {}},
        {"type": "system", "system": {"type": "user_changed_number", "wa_id": "14155550100"}},
        {"type": "call"},
        {},
    ]
)
MESSAGES = st.builds(
    lambda sender, bsuid, kind, at: {
        "id": "wamid.A",
        "from": sender,
        "from_user_id": bsuid,
        "timestamp": at,
        **kind,
    },
    IDS,
    IDS,
    KINDS,
    st.sampled_from(["1790000000", 5, None]),
)
CONTACTS = st.builds(
    lambda phone, bsuid: {"wa_id": phone, "user_id": bsuid, "profile": {"name": "Ana"}}, IDS, IDS
)
STATUSES = st.builds(
    lambda word, who, more: meta.status(word, recipient_id=who, **more),
    st.sampled_from(["sent", "read", "failed", "", "x"]),
    IDS,
    st.sampled_from([{}, {"type": "payment"}, {"type": "call"}, {"recipient_type": "group"}]),
)
LISTS = st.one_of(
    st.fixed_dictionaries(
        {
            "contacts": st.lists(CONTACTS, min_size=1, max_size=2) | ODD,
            "messages": st.lists(MESSAGES, min_size=1, max_size=2) | ODD,
        },
        optional={"novelty": ODD},
    ),
    st.fixed_dictionaries({"statuses": st.lists(STATUSES | ODD, min_size=1, max_size=1) | ODD}),
)
METADATA = st.sampled_from(
    [
        {"phone_number_id": "3", "display_phone_number": meta.CUSTOMER},
        {"phone_number_id": 3},
        {"phone_number_id": ""},
        {"phone_number_id": "3", "display_phone_number": {}},
        {},
        "x",
    ]
)
AROUND = st.fixed_dictionaries({}, optional={"id": st.sampled_from(["1", 1, None]), "time": ODD, "uid": ODD})


FEW_IDS = st.sampled_from([None, meta.CUSTOMER, "14155550100", "BR.1", "BR.ENT.1"])
WRITERS = st.fixed_dictionaries(
    {}, optional={"from": FEW_IDS, "from_user_id": FEW_IDS, "from_parent_user_id": FEW_IDS}
)
OWNERS = st.fixed_dictionaries({}, optional={"wa_id": FEW_IDS, "user_id": FEW_IDS, "parent_user_id": FEW_IDS})


@settings(max_examples=300, deadline=None)
@given(WRITERS, OWNERS, KINDS, st.sampled_from([meta.CUSTOMER, "553133445566"]))
def test_one_message_of_whoever_the_contact_is_goes_either_way_to_the_same_end(
    writer: dict[str, Any], owner: dict[str, Any], kind: dict[str, Any], own: str
) -> None:
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"phone_number_id": "3", "display_phone_number": own},
        "contacts": [{**owner, "profile": {"name": "Ana"}}],
        "messages": [{"id": "wamid.A", "timestamp": "1790000000", **writer, **kind}],
    }
    delivery = {"object": OBJECT, "entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}]}
    quick, general = both_ways(delivery)
    assert quick in (None, general)


@settings(max_examples=500, deadline=None)
@given(LISTS, METADATA, AROUND, st.sampled_from(["messages", "history", "smb_message_echoes", None, 7]))
def test_any_chat_goes_either_way_to_the_same_end(
    lists: dict[str, Any], metadata: object, around: dict[str, Any], field: object
) -> None:
    value = {"messaging_product": "whatsapp", "metadata": metadata, **lists}
    delivery = {"object": OBJECT, "entry": [{**around, "changes": [{"field": field, "value": value}]}]}
    quick, general = both_ways(delivery)
    assert quick in (None, general)


ITEMS = st.fixed_dictionaries(
    {"timestamp": st.sampled_from([1_790_000_000_000, "x", None])},
    optional={
        "sender": st.sampled_from([{"id": "9"}, {"id": "7"}, {}, None]),
        "recipient": st.sampled_from([{"id": "7"}, {"id": 9}, [], None]),
        "message": st.sampled_from([{"mid": "m", "text": "Oi"}, {"mid": "m", "is_echo": True}, {}, None]),
        "read": st.sampled_from([{"watermark": 5}, {"mid": "m"}, {}]),
        "novelty": ODD,
    },
)
CHANGES = st.builds(
    lambda field, value: {"field": field, "value": value},
    st.sampled_from(["feed", "comments", "novelty", 7]),
    st.sampled_from(
        [
            {"item": "comment", "verb": "add", "comment_id": "1"},
            {"statuses": [{"id": "w", "status": "read"}]},
            None,
            [],
        ]
    ),
)
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["7", 7, "", None]),
        "time": ODD,
        "uid": ODD,
        "messaging": st.lists(ITEMS, max_size=2) | ODD,
        "standby": st.lists(ITEMS, min_size=1, max_size=1),
        "changes": st.lists(CHANGES, min_size=1, max_size=1) | ODD,
        "changed_fields": ODD,
    },
)


STATUS: Any = {"field": "messages", "value": {"statuses": [{"id": "w", "status": "read"}]}}
MESSAGE: Any = {"sender": {"id": "9"}, "recipient": {"id": "7"}, "message": {"mid": "m", "text": "Oi"}}


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["page", "Page", "instagram", "permissions", "user", "WhatsApp_Business_Account"]),
    st.lists(ENTRIES, min_size=1, max_size=2),
    st.fixed_dictionaries({}, optional={"novelty": ODD}),
)
@example("WhatsApp_Business_Account", [{"id": "7", "changes": [STATUS]}], {})
@example("page", [{"id": "7", "messaging": [MESSAGE]}], {})
@example("page", [{"id": "7", "messaging": [MESSAGE]}], {"novelty": "x"})
@example("page", [{"id": "7", "messaging": [MESSAGE], "changed_fields": ["x"]}], {})
@example("page", [{"id": "7", "messaging": [MESSAGE], "novelty": "x"}], {})
def test_any_sole_item_goes_either_way_to_the_same_end(
    word: str, entries: list[Any], around: dict[str, Any]
) -> None:
    delivery = {"object": word, "entry": entries, **around}
    assert split(json.dumps(delivery).encode()) == walk(
        word, delivery, entries, doubts_depth=False, large=False
    )
