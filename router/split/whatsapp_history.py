"""Imports of a business app's chats: chunks, threads, messages, late media. META.md section 8."""

from __future__ import annotations

from typing import Any, Final

from router.split.compose import compose
from router.split.identity import Identifiers
from router.split.item import Item
from router.split.plan import How, errors, plan, read
from router.split.reading import NOTHING, Json, as_id, as_object, as_text, as_whole
from router.split.times import time_ms
from router.split.whatsapp_content import message_part
from router.split.whatsapp_person import HISTORY_DECLINED
from router.split.whatsapp_value import ValueContext

_STANDING: Final[dict[str, How]] = {
    "phase": (as_whole, "metadata.phase"),
    "chunk": (as_whole, "metadata.chunk_order"),
    "progress": (as_whole, "metadata.progress"),
}
_PROGRESS: Final = plan(**_STANDING)
_CHUNK: Final = plan(**_STANDING, errors=(errors, "errors"))


def history_message(
    context: ValueContext,
    path: str,
    raw: Json,
    collection: str,
    thread: Json = NOTHING,
    chunk: Json = NOTHING,
) -> Item:
    """One imported message. The counterpart is the thread's, since the business wrote some of the messages."""
    place = context.place(path, raw, collection)
    if chunk:
        place.envelope["history"] = chunk
    if thread:
        place.envelope["thread"] = thread
    ids = _counterpart(context, thread)
    sender, recipient = context.ids(), context.ids()
    sender.add_all(raw, ("from_user_id", "from"), ("from_parent_user_id",))
    recipient.add_all(raw, ("to_user_id", "to"), ("to_parent_user_id",))
    outbound = collection == "message_echoes" or (bool(recipient) and not sender)
    if not ids:
        ids = recipient if outbound else sender
    wamid = as_id(raw.get("id"))
    part = {"message": message_part(raw, as_text(raw.get("type")), wamid), **read(_PROGRESS, chunk)}
    status = as_text(as_object(raw.get("history_context")).get("status"))
    if status is not None:
        part["status"] = status
    return compose(
        place,
        "history.imported",
        part,
        person=context.person(ids, place),
        direction="outbound" if outbound else "inbound",
        occurred_at_ms=time_ms(raw.get("timestamp")),
        native_id=wamid,
        message_id=wamid,
    )


def history_chunk(context: ValueContext, path: str, chunk: Json) -> Item:
    """A chunk without messages: an empty one, or what went wrong."""
    part = read(_CHUNK, chunk)
    declined = any(error.get("code") == HISTORY_DECLINED for error in part.get("errors", ()))
    return compose(
        context.place(path, chunk, "history"),
        "history.declined" if declined else "history.progressed",
        part,
        person=context.ids().person(),
        direction="system",
        occurred_at_ms=time_ms(chunk.get("timestamp")),
    )


def thread_item(context: ValueContext, path: str, raw: Json, thread: Json, chunk: Json) -> Item:
    """A thread of an import without messages, or what a thread holds beside them."""
    place = context.place(path, raw, "threads")
    place.envelope["history"] = chunk
    part: dict[str, Any] = read(_PROGRESS, chunk)
    return compose(
        place,
        "history.progressed",
        part,
        person=context.person(_counterpart(context, thread), place),
        direction="system",
        occurred_at_ms=None,
    )


def _counterpart(context: ValueContext, thread: Json) -> Identifiers:
    ids = context.ids().add_all(as_object(thread.get("context")), ("user_id", "wa_id"), ("parent_user_id",))
    ids.add(thread.get("id"))
    return ids
