"""What a Messenger or Instagram message says, however few fields it has. META.md section 6."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.events.registry import EVENT_TYPES
from router.split import Item, split
from tests.fixtures.meta.bodies import item, messaging

URL = "https://cdn.example/1"


def message_of(raw: dict[str, Any]) -> dict[str, Any]:
    """The typed part."""
    (found,) = split(messaging(item(message=raw)))
    assert isinstance(found, Item)
    EVENT_TYPES[found.event_type].model.model_validate(found.data)
    part: dict[str, Any] = found.data["message"]
    return part


@pytest.mark.parametrize("kind", ["image", "video", "audio", "file", "share", "story_mention", "ig_reel"])
def test_a_file_without_words_is_an_attachment(kind: str) -> None:
    raw = {"mid": "x", "attachments": [{"type": kind, "payload": {"url": URL}}]}
    assert message_of(raw) == {"id": "x", "type": "attachment", "attachments": [{"type": kind, "url": URL}]}


@pytest.mark.parametrize(
    ("beside", "expected"),
    [
        ({"text": "T"}, {"text": "T"}),
        ({"attachments": [{"type": "image"}]}, {"attachments": [{"type": "image"}]}),
        ({"attachments": [{"type": "like_heart"}], "text": "T"}, {"attachments": [{"type": "like_heart"}], "text": "T"}),
        ({"reply_to": {"mid": "y"}}, {"reply_to": "y"}),
        ({"reply_to": {"story": {"id": "1", "url": URL}}}, {"story": {"id": "1", "url": URL}}),
        ({"quick_reply": {"payload": "P"}}, {"payload": "P"}),
        ({"is_self": True}, {"to_self": True}),
        ({"referral": {"ref": "R", "product": {"id": "1"}}}, {"referral": {"ref": "R"}, "product": {"product": "1"}}),
        ({"text": "/x", "commands": [{"name": "x"}, {"name": 7}, "?"]}, {"text": "/x", "commands": ["x"]}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("named", [True, False])
def test_every_field_is_read_with_and_without_an_id_beside_it(
    beside: dict[str, Any], expected: dict[str, Any], named: bool
) -> None:
    made = message_of({"mid": "x", **beside} if named else beside)
    assert {name: value for name, value in made.items() if name not in ("id", "type")} == expected


def test_a_place_has_its_degrees_and_what_opens_it() -> None:
    payload = {"coordinates": {"lat": -19.9, "long": "-43.9"}}
    raw = {"mid": "x", "attachments": [{"type": "location", "title": "T", "url": URL, "payload": payload}]}
    made = message_of(raw)
    assert made["location"] == {"latitude": -19.9, "longitude": -43.9, "name": "T", "url": URL}
    assert made["attachments"] == [{"type": "location", "name": "T", "url": URL}]
