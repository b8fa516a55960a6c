"""Webhook bodies in Meta's shapes, for tests. Every person and text in them is invented and, where a test looks for it, unique."""

import json
import time
from collections.abc import Iterable, Sequence
from typing import Any

WABA, PHONE_NUMBER_ID = "700100200300401", "700200300400501"
PAGE = "700300400500601"
INSTAGRAM = "17847001002003001"


def now_s() -> int:
    """The present as Meta writes it for WhatsApp."""
    return int(time.time())


def encode(body: object) -> bytes:
    """A body's bytes: ASCII with escapes."""
    return json.dumps(body, separators=(",", ":")).encode()


def whatsapp_message(
    wamid: str, text: str, *, phone: str = "5531987650001", at_s: int | None = None
) -> dict[str, Any]:
    """One text message as it stands in `messages`."""
    return {
        "from": phone,
        "id": wamid,
        "timestamp": str(now_s() if at_s is None else at_s),
        "type": "text",
        "text": {"body": text},
    }


def whatsapp(
    messages: Iterable[dict[str, Any]],
    *,
    waba: str = WABA,
    phone_number_id: str = PHONE_NUMBER_ID,
    name: str = "Teste da Silva",
) -> dict[str, Any]:
    """A WhatsApp delivery with one entry."""
    listed = list(messages)
    people = sorted({message["from"] for message in listed})
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "553133445566", "phone_number_id": phone_number_id},
        "contacts": [{"profile": {"name": name}, "wa_id": person} for person in people],
        "messages": listed,
    }
    return delivery(
        "whatsapp_business_account", [{"id": waba, "changes": [{"field": "messages", "value": value}]}]
    )


def messenger(
    mid: str, text: str, *, page: str = PAGE, person: str = "7200000000000001", at_ms: int | None = None
) -> dict[str, Any]:
    """A Messenger delivery with one message."""
    at = int(time.time() * 1000) if at_ms is None else at_ms
    item = {
        "sender": {"id": person},
        "recipient": {"id": page},
        "timestamp": at,
        "message": {"mid": mid, "text": text},
    }
    return delivery("page", [{"id": page, "time": at, "messaging": [item]}])


def delivery(provider_object: str, entries: Sequence[object]) -> dict[str, Any]:
    """The envelope."""
    return {"object": provider_object, "entry": list(entries)}
