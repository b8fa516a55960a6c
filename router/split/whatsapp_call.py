"""WhatsApp calls. META.md section 8."""

from __future__ import annotations

from typing import Any, Final

from router.split.compose import compose
from router.split.item import Direction, Item
from router.split.plan import errors, inside, plan, read
from router.split.reading import Json, as_id, as_text, as_whole
from router.split.times import time_ms
from router.split.whatsapp_chat import status_ids
from router.split.whatsapp_value import ValueContext

_FILE: Final = inside(
    plan(id=(as_id, "id"), url=(as_text, "url"), mime_type=(as_text, "mime_type"), sha256=(as_text, "sha256"))
)
_CALL: Final = plan(
    id=(as_id, "id", "wacid"),
    status=(as_text, "status"),
    started_at_ms=(time_ms, "start_time"),
    ended_at_ms=(time_ms, "end_time"),
    duration_s=(as_whole, "duration"),
    session_type=(as_text, "session.sdp_type"),
    session=(as_text, "session.sdp"),
    payload=(as_text, "cta_payload", "deeplink_payload"),
    callback_data=(as_text, "biz_opaque_callback_data"),
    recording=(_FILE, "call_recording.audio"),
    transcript=(_FILE, "call_transcript.document"),
    errors=(errors, "errors"),
)
_EVENTS: Final = {
    "connect": "call.started",
    "call_connect": "call.started",
    "terminate": "call.ended",
    "call_terminate": "call.ended",
    "call_status": "call.status_changed",
    "call_recording_available": "call.recorded",
    "call_transcription_available": "call.transcribed",
}
_ACTED: Final = frozenset({"call.started", "call.ended", "call.changed"})
"""What a party did; all else is Meta's report."""


def call(context: ValueContext, path: str, raw: Json, collection: str) -> Item:
    """A call or its status. The customer is `from`, or `to` when the business calls."""
    place = context.place(path, raw, collection)
    by_business = raw.get("direction") == "BUSINESS_INITIATED"
    ids = context.ids()
    if collection == "statuses":
        ids = status_ids(context.own_phone, raw, is_group=False)
        event_type = "call.status_changed"
    else:
        event_type = _EVENTS.get((as_text(raw.get("event")) or "").lower(), "call.changed")
        if by_business:
            ids.add_all(raw, ("to_user_id", "to"), ("to_parent_user_id",))
        else:
            ids.add_all(raw, ("from_user_id", "from"), ("from_parent_user_id",))
    part: dict[str, Any] = read(_CALL, raw)
    if by_business or raw.get("direction") == "USER_INITIATED":
        part["initiated_by"] = "business" if by_business else "person"
    direction: Direction = "system"
    if event_type in _ACTED:
        direction = "outbound" if by_business else "inbound"
    return compose(
        place,
        event_type,
        part,
        person=context.person(ids, place),
        direction=direction,
        occurred_at_ms=time_ms(raw.get("timestamp", raw.get("start_time"))),
        native_id=part.get("id"),
    )
