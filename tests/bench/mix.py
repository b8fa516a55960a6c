"""A synthetic mix of deliveries: WhatsApp messages and statuses, Messenger messages, deliveries and reads."""

import random
import time
from collections.abc import Sequence
from typing import Any

from tests.support import bodies

WORDS = [
    "oi",
    "bom",
    "dia",
    "tudo",
    "bem",
    "quero",
    "saber",
    "do",
    "meu",
    "pedido",
    "por",
    "favor",
    "obrigado",
    "até",
    "logo",
    "amanhã",
    "preço",
    "entrega",
]


def _text(chance: random.Random) -> str:
    return " ".join(chance.choices(WORDS, k=chance.randint(2, 20)))


def _phone(chance: random.Random) -> str:
    return f"55119{chance.randint(80_000_000, 99_999_999) // 50_000 * 50_000:08d}"


def _whatsapp_status(chance: random.Random, waba: str, number: str) -> dict[str, Any]:
    status = {
        "id": f"wamid.HBg{chance.getrandbits(120):x}",
        "status": chance.choice(("sent", "delivered", "read")),
        "timestamp": str(int(time.time())),
        "recipient_id": _phone(chance),
        "conversation": {"id": f"{chance.getrandbits(128):x}", "origin": {"type": "service"}},
        "pricing": {"billable": True, "pricing_model": "PMP", "category": "service"},
    }
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "553133445566", "phone_number_id": number},
        "statuses": [status],
    }
    return bodies.delivery(
        "whatsapp_business_account", [{"id": waba, "changes": [{"field": "messages", "value": value}]}]
    )


def _messenger_receipt(chance: random.Random, page: str) -> dict[str, Any]:
    now_ms = int(time.time() * 1000)
    item: dict[str, Any] = {
        "sender": {"id": str(7_200_000_000_000_000 + chance.randint(0, 2_000))},
        "recipient": {"id": page},
        "timestamp": now_ms,
        "read": {"watermark": now_ms},
    }
    return bodies.delivery("page", [{"id": page, "time": now_ms, "messaging": [item]}])


def deliveries(
    chance: random.Random, accounts: Sequence[tuple[str, str, str]], count: int
) -> tuple[list[bytes], int]:
    """`count` bodies, and how many events they hold."""
    made: list[bytes] = []
    for _ in range(count):
        waba, number, page = chance.choice(accounts)
        kind = chance.random()
        body: dict[str, Any]
        if kind < 0.35:
            message = bodies.whatsapp_message(
                f"wamid.HBg{chance.getrandbits(120):x}", _text(chance), phone=_phone(chance)
            )
            body = bodies.whatsapp([message], waba=waba, phone_number_id=number)
        elif kind < 0.75:
            body = _whatsapp_status(chance, waba, number)
        elif kind < 0.9:
            person = str(7_200_000_000_000_000 + chance.randint(0, 2_000))
            body = bodies.messenger(f"m_{chance.getrandbits(200):x}", _text(chance), page=page, person=person)
        else:
            body = _messenger_receipt(chance, page)
        made.append(bodies.encode(body))
    return made, count
