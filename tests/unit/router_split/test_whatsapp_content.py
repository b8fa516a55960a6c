"""What a WhatsApp message says, of every type. META.md section 8."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.events.registry import EVENT_TYPES
from router.split import Item, split
from tests.fixtures.meta import bodies as meta


def message_of(raw: dict[str, Any]) -> dict[str, Any]:
    """The typed part, less what every message has."""
    (found,) = split(meta.whatsapp(meta.value(contacts=[meta.contact()], messages=[raw])))
    assert isinstance(found, Item)
    assert found.event_type == "message.received"
    EVENT_TYPES[found.event_type].model.model_validate(found.data)
    part: dict[str, Any] = found.data["message"]
    assert part["id"] == "wamid.A"
    return {name: value for name, value in part.items() if name not in ("id", "type")}


@pytest.mark.parametrize(
    ("kind", "content", "expected"),
    [
        ("text", {"body": "Oi"}, {"text": "Oi"}),
        (
            "image",
            {"id": 7, "mime_type": "image/png", "sha256": "S", "caption": "C", "url": "https://e.example"},
            {
                "text": "C",
                "attachments": [
                    {
                        "type": "image",
                        "id": "7",
                        "mime_type": "image/png",
                        "sha256": "S",
                        "url": "https://e.example",
                    }
                ],
            },
        ),
        ("audio", {"id": "7", "voice": True}, {"attachments": [{"type": "audio", "id": "7", "voice": True}]}),
        ("sticker", {"id": "7", "animated": False}, {"attachments": [{"type": "sticker", "id": "7", "animated": False}]}),
        ("document", {"filename": "F"}, {"attachments": [{"type": "document", "name": "F"}]}),
        ("video", None, {"attachments": [{"type": "video"}]}),
        (
            "location",
            {"latitude": -19.9, "longitude": "-43.9", "name": "N", "address": "A", "url": "https://e.example"},
            {
                "location": {
                    "latitude": -19.9,
                    "longitude": -43.9,
                    "name": "N",
                    "address": "A",
                    "url": "https://e.example",
                }
            },
        ),
        (
            "contacts",
            [
                {
                    "name": {"formatted_name": "Bob", "first_name": "B"},
                    "phones": [{"phone": "+1 415 555 0100", "wa_id": "14155550100"}, {"phone": "1"}, "?"],
                    "emails": [{"email": "b@e.example"}],
                    "org": {"company": "O"},
                },
                "?",
                {"vcard": "BEGIN:VCARD"},
            ],
            {
                "contacts": [
                    {
                        "name": "Bob",
                        "phones": ["+1 415 555 0100", "1"],
                        "whatsapp_ids": ["14155550100"],
                        "emails": ["b@e.example"],
                        "organisation": "O",
                    },
                    {"vcard": "BEGIN:VCARD"},
                ]
            },
        ),
        ("button", {"text": "T", "payload": "P"}, {"text": "T", "payload": "P"}),
        (
            "interactive",
            {"type": "button_reply", "button_reply": {"id": "I", "title": "T"}},
            {"text": "T", "payload": "I", "interactive": {"type": "button_reply", "id": "I", "title": "T"}},
        ),
        (
            "interactive",
            {"type": "list_reply", "list_reply": {"id": "I", "title": "T", "description": "D"}},
            {
                "text": "T",
                "payload": "I",
                "interactive": {"type": "list_reply", "id": "I", "title": "T", "description": "D"},
            },
        ),
        (
            "interactive",
            {"type": "nfm_reply", "nfm_reply": {"response_json": "{}", "body": "Sent", "name": "flow"}},
            {
                "text": "Sent",
                "payload": "{}",
                "interactive": {"type": "nfm_reply", "title": "Sent", "form": "{}", "form_name": "flow"},
            },
        ),
        (
            "interactive",
            {
                "type": "call_permission_reply",
                "call_permission_reply": {
                    "response": "accept",
                    "expiration_timestamp": 5,
                    "is_permanent": False,
                    "response_source": "user_action",
                },
            },
            {
                "interactive": {
                    "type": "call_permission_reply",
                    "permission": "accept",
                    "permission_until_ms": 5000,
                    "permission_is_permanent": False,
                    "permission_by": "user_action",
                }
            },
        ),
        (
            "interactive",
            {"type": "payment_method", "payment_method": {"payment_method": "pix", "reference_id": "R"}},
            {"interactive": {"type": "payment_method", "payment_method": "pix", "reference": "R"}},
        ),
        (
            "order",
            {
                "catalog_id": 7,
                "text": "T",
                "product_items": [
                    {"product_retailer_id": "P", "quantity": "2", "item_price": 9.5, "currency": "BRL"}
                ],
            },
            {
                "text": "T",
                "order": {
                    "catalogue": "7",
                    "text": "T",
                    "lines": [{"product": "P", "quantity": 2.0, "price": 9.5, "currency": "BRL"}],
                },
            },
        ),
        ("request_welcome", {}, {}),
        ("seen_never", {"a": 1}, {}),
    ],
)  # fmt: skip
def test_the_content_of_a_message_is_typed(kind: str, content: object, expected: dict[str, Any]) -> None:
    assert message_of(meta.message(type=kind, **{kind: content})) == expected


@pytest.mark.parametrize(
    ("around", "expected"),
    [
        (
            {"context": {"id": "wamid.0", "from": "14155550100", "forwarded": True}},
            {"reply_to": "wamid.0", "reply_to_author": "14155550100", "forwarded": True},
        ),
        ({"context": {"frequently_forwarded": True}}, {"frequently_forwarded": True}),
        (
            {"context": {"referred_product": {"catalog_id": "C", "product_retailer_id": "P"}}},
            {"product": {"catalogue": "C", "product": "P"}},
        ),
        (
            {"referral": {"source_type": "ad", "source_id": 7, "ctwa_clid": "K", "image_url": "https://e.example"}},
            {"referral": {"source": "ad", "source_id": "7", "click_id": "K", "media_url": "https://e.example"}},
        ),
        (
            {"identity": {"hash": "H", "acknowledged": False, "created_timestamp": 5}},
            {"identity": {"hash": "H", "acknowledged": False, "created_at_ms": 5000}},
        ),
        (
            {"errors": [{"code": 131060, "title": "T", "error_data": {"details": "D"}}, "?"]},
            {"errors": [{"code": 131060, "title": "T", "details": "D"}]},
        ),
        ({"unsupported": {"type": "poll"}}, {"unsupported": "poll"}),
        ({"group_id": "1203@g.us"}, {"group": "1203@g.us"}),
        ({"context": "?", "referral": [], "identity": None, "errors": {}, "unsupported": 7, "group_id": {}}, {}),
    ],
)  # fmt: skip
def test_what_stands_around_the_content_is_typed(around: dict[str, Any], expected: dict[str, Any]) -> None:
    raw = meta.message(type="text", text={"body": "Oi"}, **around)
    assert message_of(raw) == {"text": "Oi", **expected}


def test_a_place_without_a_type_still_is_a_place() -> None:
    assert message_of(meta.message(location={"latitude": 1})) == {"location": {"latitude": 1.0}}


@pytest.mark.parametrize("kind", ["image", "location", "contacts", "button", "interactive", "order", "text"])
@pytest.mark.parametrize("content", [None, 7, "x", [], ["x"], {}, {"type": []}, {"id": {}, "body": []}])
def test_a_broken_content_never_loses_the_message(kind: str, content: object) -> None:
    message_of(meta.message(type=kind, **{kind: content}))


def test_an_edit_has_text_and_files_of_the_new_content_only() -> None:
    new = {"type": "image", "image": {"id": "7", "caption": "C"}, "context": {"id": "wamid.0"}}
    raw = meta.message(type="edit", edit={"original_message_id": "wamid.T", "message": new})
    (found,) = split(meta.whatsapp(meta.value(messages=[raw])))
    assert isinstance(found, Item)
    assert found.data["edit"] == {
        "message_id": "wamid.T",
        "type": "image",
        "text": "C",
        "attachments": [{"type": "image", "id": "7"}],
    }


def test_a_status_says_what_it_costs_and_what_the_business_attached() -> None:
    raw = meta.status(
        "sent",
        pricing={"billable": True, "pricing_model": "PMP", "category": "service", "type": "regular"},
        conversation={"id": "C", "origin": {"type": "service"}, "expiration_timestamp": "5"},
        biz_opaque_callback_data="B",
    )
    (found,) = split(meta.whatsapp(meta.value(statuses=[raw])))
    assert isinstance(found, Item)
    assert found.data["receipt"] == {
        "message_ids": ["wamid.A"],
        "status": "sent",
        "pricing": {"billable": True, "model": "PMP", "category": "service", "type": "regular"},
        "window": {"id": "C", "origin": "service", "expires_at_ms": 5000},
        "callback_data": "B",
    }


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"text": {"body": "Oi"}}, {"text": "Oi"}),
        ({"image": {"id": "7"}}, {"attachments": [{"type": "image", "id": "7"}]}),
        ({"location": {"latitude": 1}}, {"location": {"latitude": 1.0}}),
        ({"button": {"text": "T", "payload": "P"}}, {"text": "T", "payload": "P"}),
        ({"novelty": {"body": "Oi"}}, {}),
        ({"text": 7}, {}),
    ],
)
def test_without_a_type_the_content_is_what_stands_there(
    content: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert message_of({"from": "553188888888", "id": "wamid.A", "timestamp": "1", **content}) == expected
