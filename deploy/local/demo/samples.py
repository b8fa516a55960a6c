"""The demo's webhooks: invented people who write to an invented bakery and an invented clinic, in Meta's shapes.

Pure: time and a token that makes the ids of one run unique are arguments. Names, numbers and texts here are the ones
that the demo afterwards looks for in every file of Kafka and Postgres, so they stand in `PERSONAL`, once.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Product = Literal["messenger", "instagram", "whatsapp"]
Expected = Literal["stored", "quarantined", "refused", "rejected"]

BAKERY: Final = "padaria"
CLINIC: Final = "clinica"

MARIA, MARIA_PHONE = "Maria Aparecida Quitéria", "5531988714021"
JOAO, JOAO_PHONE = "João Batista Farnese", "5511973306158"
PEDRO: Final = "Pedro Valdomiro"
ANA_IGSID, PEDRO_PSID = "61784430192735501", "70215588934410267"
TEXT_BREAD = "Bom dia! Ainda tem pão de queijo quentinho? Separa duas dúzias pra Quitéria, por favor."
TEXT_CAKE = "Oi! Vocês fazem bolo de fubá sem lactose pra sábado à tarde?"
TEXT_TOOTH = "Boa tarde, doutora. Quebrei um dente no churrasco, consigo encaixe amanhã às 8h?"
TEXT_ECHO = "Claro, Pedro Valdomiro! Encaixamos você amanhã às 8h15, pode vir direto."
TEXT_ORDER = "Pedido confirmado: 2 broas de milho e 1 rosca-da-rainha, retirada 17h40."
TEXT_VISIT = "Confirmo a limpeza de quinta-feira com a dra. Emanuelle, obrigado!"
TEXT_LARGE = "Encomenda da festa junina da Quitéria: canjica, curau, quentão e cocada. "

TEXTS: Final = (TEXT_BREAD, TEXT_CAKE, TEXT_TOOTH, TEXT_ECHO, TEXT_ORDER, TEXT_VISIT, TEXT_LARGE.strip())
"""What was said."""
PERSONAL: Final = (
    MARIA, MARIA_PHONE, "553188714021", JOAO, JOAO_PHONE, "551173306158", ANA_IGSID, PEDRO_PSID, PEDRO,
    TEXT_BREAD, TEXT_CAKE, TEXT_TOOTH, TEXT_ECHO, TEXT_ORDER, TEXT_VISIT, TEXT_LARGE.strip(), "Quitéria", "Emanuelle",
    "rosca-da-rainha", "bolo de fubá",
)  # fmt: skip
"""Whatever names a person or was said by one: must be in no file and no log afterwards."""


@dataclass(frozen=True, slots=True)
class DemoAccount:
    """One account to connect: `ids` are arguments of `mkc account connect` without their dashes."""

    tenant: str
    product: Product
    label: str
    ids: dict[str, str]


ACCOUNTS: Final = (
    DemoAccount(
        BAKERY,
        "whatsapp",
        "Padaria, pedidos",
        {"waba": "300100200300401", "phone-number-id": "200300400500601"},
    ),
    DemoAccount(BAKERY, "instagram", "@padaria", {"instagram": "17841400100200301"}),
    DemoAccount(CLINIC, "messenger", "Clínica no Facebook", {"page": "100200300400501"}),
    DemoAccount(
        CLINIC,
        "whatsapp",
        "Clínica, agenda",
        {"waba": "300100200300402", "phone-number-id": "200300400500602"},
    ),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One webhook to post, and what must become of it: `events` are (tenant, event type), `reason` a quarantine or refusal."""

    title: str
    body: bytes = field(repr=False)
    expected: Expected
    events: tuple[tuple[str, str], ...] = ()
    reason: str = ""
    status: int = 200
    takes_back: bool = False
    """Posted once everything before is a row: it erases one of them."""
    taken_back: bool = False
    """Another webhook erases its message: in the end there is no row and nothing to read."""
    wrong_secret: bool = False


def samples(now_ms: int, token: str) -> tuple[Sample, ...]:
    """All of them, in the order in which they are posted. `token`: unique to this run, letters and digits."""
    bread = _whatsapp_text(0, MARIA, MARIA_PHONE, TEXT_BREAD, f"A{token}", now_ms)
    order = _whatsapp_text(0, MARIA, MARIA_PHONE, TEXT_ORDER, f"B{token}", now_ms)
    visit = _whatsapp_text(1, JOAO, JOAO_PHONE, TEXT_VISIT, f"C{token}", now_ms)
    bakery_text, clinic_text = (BAKERY, "message.received"), (CLINIC, "message.received")
    instagram_mid, messenger_mid = f"aWdfZAG1f{token}", f"m_{token}"
    return (
        Sample("WhatsApp text", _meta("whatsapp_business_account", bread), "stored", (bakery_text,)),
        Sample(
            "Instagram direct",
            _meta(
                "instagram",
                _messaging("instagram", ANA_IGSID, now_ms, message={"mid": instagram_mid, "text": TEXT_CAKE}),
            ),
            "stored",
            (bakery_text,),
            taken_back=True,
        ),
        Sample(
            "Messenger message",
            _meta(
                "page",
                _messaging("page", PEDRO_PSID, now_ms, message={"mid": messenger_mid, "text": TEXT_TOOTH}),
            ),
            "stored",
            (clinic_text,),
        ),
        Sample(
            "Echo of the reply",
            _meta("page", _messaging("page", PEDRO_PSID, now_ms, echo=True, message=_echo(f"m_e{token}"))),
            "stored",
            ((CLINIC, "message.sent"),),
        ),
        Sample(
            "WhatsApp status",
            _meta("whatsapp_business_account", _whatsapp_status(f"D{token}", now_ms)),
            "stored",
            ((BAKERY, "message.delivered"),),
        ),
        Sample(
            "Instagram unsend",
            _meta(
                "instagram",
                _messaging(
                    "instagram", ANA_IGSID, now_ms, message={"mid": instagram_mid, "is_deleted": True}
                ),
            ),
            "stored",
            ((BAKERY, "message.unsent"),),
            takes_back=True,
        ),
        Sample(
            "Batch of both tenants",
            _meta("whatsapp_business_account", order, visit),
            "stored",
            (bakery_text, clinic_text),
        ),
        Sample(
            "Wrong signature",
            _meta("whatsapp_business_account", bread),
            "rejected",
            reason="invalid_signature",
            status=401,
            wrong_secret=True,
        ),
        Sample(
            "Not JSON", b"isto n\xc3\xa3o \xc3\xa9 JSON {" + token.encode(), "quarantined", reason="not_json"
        ),
        Sample(
            "3 MB: 1,000 updates",
            _meta("whatsapp_business_account", *_large(token, now_ms)),
            "stored",
            (bakery_text,) * 1_000,
        ),
        Sample(
            "Unknown account",
            _meta(
                "page",
                _messaging(
                    "page",
                    PEDRO_PSID,
                    now_ms,
                    page="999888777666555",
                    message={"mid": f"m_u{token}", "text": "?"},
                ),
            ),
            "refused",
            reason="unknown_account",
        ),
    )


def _meta(provider_object: str, *entries: dict[str, Any]) -> bytes:
    # ASCII with escapes, slashes escaped too, as Meta writes it (META.md section 3.2).
    text = json.dumps({"object": provider_object, "entry": list(entries)}, separators=(",", ":"))
    return text.replace("/", "\\/").encode()


def _ids(product: Product, tenant_index: int = 0) -> dict[str, str]:
    return [account.ids for account in ACCOUNTS if account.product == product][tenant_index]


def _messaging(
    provider_object: str,
    person: str,
    now_ms: int,
    *,
    message: dict[str, Any],
    echo: bool = False,
    page: str = "",
) -> dict[str, Any]:
    own = page or (_ids("messenger")["page"] if provider_object == "page" else _ids("instagram")["instagram"])
    sender, recipient = (own, person) if echo else (person, own)
    item = {"sender": {"id": sender}, "recipient": {"id": recipient}, "timestamp": now_ms, "message": message}
    return {"id": own, "time": now_ms, "messaging": [item]}


def _echo(mid: str) -> dict[str, Any]:
    return {"mid": mid, "text": TEXT_ECHO, "is_echo": True, "app_id": 263902037430900}


def _whatsapp(tenant_index: int, value: dict[str, Any]) -> dict[str, Any]:
    ids = _ids("whatsapp", tenant_index)
    metadata = {
        "display_phone_number": f"55313344550{tenant_index}",
        "phone_number_id": ids["phone-number-id"],
    }
    change = {"field": "messages", "value": {"messaging_product": "whatsapp", "metadata": metadata, **value}}
    return {"id": ids["waba"], "changes": [change]}


def _whatsapp_text(
    tenant_index: int, name: str, phone: str, text: str, wamid: str, now_ms: int
) -> dict[str, Any]:
    return _whatsapp(
        tenant_index,
        {
            "contacts": [{"profile": {"name": name}, "wa_id": phone}],
            "messages": [_text(phone, text, wamid, now_ms)],
        },
    )


def _text(phone: str, text: str, wamid: str, now_ms: int) -> dict[str, Any]:
    return {
        "from": phone,
        "id": f"wamid.{wamid}",
        "timestamp": str(now_ms // 1000),
        "type": "text",
        "text": {"body": text},
    }


def _whatsapp_status(wamid: str, now_ms: int) -> dict[str, Any]:
    status = {
        "id": f"wamid.{wamid}",
        "status": "delivered",
        "timestamp": str(now_ms // 1000),
        "recipient_id": MARIA_PHONE,
    }
    return _whatsapp(0, {"statuses": [status]})


def _large(token: str, now_ms: int) -> list[dict[str, Any]]:
    # 1,000 updates is Meta's most (META.md section 4), 3 MB WhatsApp's largest body.
    text = TEXT_LARGE * 37
    messages = [_text(MARIA_PHONE, text, f"L{token}{number}", now_ms) for number in range(1_000)]
    contacts = [{"profile": {"name": MARIA}, "wa_id": MARIA_PHONE}]
    return [_whatsapp(0, {"contacts": contacts, "messages": messages})]
