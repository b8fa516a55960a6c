"""`python -m tests.support.examples`: writes an example for each event type that has none yet, out of the corpus.

Only the shape of a recorded body is kept: every id, name, number, text, address and link in it is replaced by an invented
one, the same for the same. Committed examples are never overwritten: readers must understand them for ever.
"""

import hashlib
import json
import re
import sys
from base64 import b64encode
from collections.abc import Iterator
from typing import Any, Final

from contracts.events.registry import EVENT_TYPES
from contracts.generate.files import as_json
from contracts.generate.history import EXAMPLES, ROOT
from router.split.delivery import split
from router.split.item import Item, data_json
from tests.support.corpus import TIMES, bodies, shifted
from tests.support.example_bodies import example_bodies

AT_S: Final = 1_772_460_000
"""2 March 2026, 14:00 UTC: the hour after the latest time in every example."""
MOST: Final = 30
LARGEST: Final = 6_000
"""Bytes of an example: it is read by people."""
_PRODUCTS: Final = {"page": "messenger", "whatsapp_business_account": "whatsapp"}
_NAMES: Final = (
    "Ana Teixeira",
    "Bruno Carvalho",
    "Célia Moura",
    "Davi Nogueira",
    "Elisa Prado",
    "Fábio Rocha",
)
_TEXTS: Final = (
    "Bom dia! Vocês abrem no sábado?",
    "O pedido chegou, muito obrigada",
    "Qual é o prazo de entrega para Contagem?",
    "Pode me mandar a segunda via do boleto?",
    "Adorei o atendimento",
    "Queria remarcar para quinta-feira",
)
_NAME_KEYS: Final = frozenset(
    {
        "name",
        "first_name",
        "last_name",
        "middle_name",
        "formatted_name",
        "full_name",
        "contact_name",
        "reviewer_name",
    }
    | {"sender_name", "verified_name", "requested_verified_name", "prefix", "suffix"}
)
_TEXT_KEYS: Final = frozenset(
    {
        "text",
        "body",
        "caption",
        "message",
        "title",
        "headline",
        "description",
        "detail",
        "details",
        "note",
        "ref",
    }
    | {
        "payload",
        "filename",
        "subject",
        "address",
        "street",
        "street1",
        "street2",
        "street_1",
        "city",
        "company",
    }
    | {
        "department",
        "ad_title",
        "story",
        "review_text",
        "about",
        "value",
        "response_json",
        "vcard",
        "emoji_text",
    }
    | {
        "biz_opaque_callback_data",
        "message_template_title",
        "message_template_element",
        "message_template_footer",
    }
    | {
        "message_template_name",
        "template_name",
        "category_name",
        "username",
        "reason_text",
        "postal_code",
        "zip",
    }
)
_PHONE_KEYS: Final = frozenset(
    {
        "wa_id",
        "from",
        "to",
        "recipient_id",
        "phone",
        "phone_number",
        "display_phone_number",
        "new_wa_id",
        "input",
    }
    | {"contact_phone", "recipient_participant_id"}
)
_KEPT: Final = re.compile(
    r"[A-Za-z][A-Za-z_]*|[a-z_]+(?:[-/.+][a-z0-9_]+)+|[A-Z_0-9]{1,64}|v?\d{1,3}(?:\.\d{1,3})*|[a-z]{2}_[A-Z]{2}"
)
_LINK: Final = re.compile(r"https?://\S+")
_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}.*")


def invented(value: Any, key: str = "") -> Any:
    """The same shape with other content. Words of Meta's (types, verbs, events) stay."""
    if isinstance(value, dict):
        return {_name(name): invented(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [invented(inner, key) for inner in value]
    if isinstance(value, float) and key in ("latitude", "longitude"):
        return -19.9245 if key == "latitude" else -43.9352
    if isinstance(value, bool) or value is None or key in TIMES or key.endswith("timestamp"):
        return value
    if isinstance(value, int):
        return int(_digits(str(value))) if value >= 10**7 else value
    return _string(value, key) if isinstance(value, str) else value


def _string(value: str, key: str) -> str:
    number = int.from_bytes(_hash(value))
    if not value or _TIME.fullmatch(value):
        return value
    if value.isdigit() and len(value) >= 6:
        return (
            f"55319{number % 10**8:08d}" if key in _PHONE_KEYS and 10 <= len(value) <= 13 else _digits(value)
        )
    if key == "emoji":
        return "❤"
    if _LINK.match(value):
        return f"https://example.com/{_hash(value).hex()[:12]}"
    if key == "username":
        return _NAMES[number % len(_NAMES)].lower().replace(" ", ".").encode("ascii", "ignore").decode()
    if key == "vcard":
        return f"BEGIN:VCARD\nVERSION:3.0\nFN:{_NAMES[number % len(_NAMES)]}\nEND:VCARD"
    if "@" in value and "group" not in key:
        return f"pessoa{number % 100}@example.com"
    if key in _NAME_KEYS:
        return _NAMES[number % len(_NAMES)]
    if value.startswith("wamid."):
        return "wamid." + b64encode(b"\x1c\x18\x0d" + b"5531" + _hash(value)[:18]).decode()
    if key == "response_json":
        return json.dumps(
            {"flow_token": "exemplo", "resposta": _TEXTS[number % len(_TEXTS)]}, ensure_ascii=False
        )
    if key in _TEXT_KEYS or " " in value:
        return _TEXTS[number % len(_TEXTS)]
    if _names_id(key) and _KEPT.fullmatch(value):
        return f"81{number % 10**13:013d}"
    if "_" in value and all(part.isdigit() for part in value.split("_")):
        return "_".join(_digits(part) for part in value.split("_"))
    if re.fullmatch(r"\+[\d -]+", value):
        return f"+55 31 9{number % 10**4:04d}-{number // 10**4 % 10**4:04d}"
    if len(value) <= 64 and _KEPT.fullmatch(value):
        return value
    prefix = re.match(r"(?:[a-z]{1,6}[._:]|[A-Z]{2}\.)?", value)
    kept = prefix.group() if prefix else ""
    return (
        kept
        + b64encode(_hash(value) * 2)
        .decode()
        .replace("/", "x")
        .replace("+", "y")[: max(8, min(40, len(value) - len(kept)))]
    )


def _name(name: str) -> str:
    """Names stay, unless they are ids themselves (`app_roles` has app ids for names)."""
    return _digits(name) if name.isdigit() else name


def _names_id(key: str) -> bool:
    return key in ("id", "mid", "uid", "from", "to") or key.endswith("_id")


def _stand_ins(value: Any, key: str = "") -> int:
    """How many ids in a body are words such as PAGE_ID or numbers such as 123."""
    if isinstance(value, dict):
        return sum(_stand_ins(inner, name) for name, inner in value.items())
    if isinstance(value, list):
        return sum(_stand_ins(inner, key) for inner in value)
    return int(
        _names_id(key) and isinstance(value, str) and (len(value) < 8 or _KEPT.fullmatch(value) is not None)
    )


def _digits(value: str) -> str:
    """Other digits, as many, the first one kept so that 17841… still looks like Instagram's."""
    made = str(int.from_bytes(_hash(value)))
    return (value[:2] + made)[: len(value)]


def _hash(value: str) -> bytes:
    return hashlib.sha256(b"example" + value.encode("utf-8", "surrogatepass")).digest()


def candidates() -> Iterator[tuple[str, Item]]:
    """(variant, item), the preferred ones first: what was written by hand, then the corpus, real ids first."""
    for body in example_bodies().values():
        yield from _items(body)
    for recorded in sorted(bodies(), key=lambda body: (_stand_ins(body.content), len(body.raw()), body.name)):
        made = invented(shifted(recorded, AT_S).content)
        kinds = [one.event_type for one in split(recorded.raw()) if isinstance(one, Item)]
        items = list(_items(made))
        if [item.event_type for _, item in items] == kinds:
            yield from items


def _items(body: Any) -> Iterator[tuple[str, Item]]:
    for item in split(json.dumps(body).encode()):
        if isinstance(item, Item):
            yield _variant(item), item


def _variant(item: Item) -> str:
    product = _PRODUCTS.get(item.provider_object, item.provider_object)
    part = EVENT_TYPES[item.event_type].part
    inner = item.data.get(part) if part is not None else None
    if isinstance(inner, dict) and isinstance(inner.get("message"), dict):
        inner = inner["message"]
    words = [inner.get(name) for name in ("type", "status", "event")] if isinstance(inner, dict) else []
    if item.event_type.startswith("message."):
        words.append(
            item.data["direction"]
            if item.event_type == "message.received" and item.direction != "inbound"
            else None
        )
    if isinstance(inner, dict) and not any(words) and inner.get("attachments"):
        words = [inner["attachments"][0].get("type")]
    slug = "-".join(str(word).lower() for word in (product, *words) if word)
    return re.sub(r"[^a-z0-9-]+", "-", slug)[:48].strip("-")


def main() -> int:
    """0 if every type has an example then."""
    had = {(path.parent.parent.name, path.parent.name) for path in (ROOT / EXAMPLES).glob("*/*/*.json")}
    made: dict[str, set[str]] = {}
    for variant, item in candidates():
        kind = EVENT_TYPES[item.event_type]
        variants = made.setdefault(kind.name, set())
        text = as_json(json.loads(data_json(item)))
        if (kind.name, str(kind.version)) in had or variant in variants or len(variants) >= MOST:
            continue
        if len(text) > LARGEST and variants:
            continue
        variants.add(variant)
        path = ROOT / EXAMPLES / kind.name / str(kind.version) / f"{variant}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    missing = sorted(
        name
        for name, kind in EVENT_TYPES.items()
        if not made.get(name) and (name, str(kind.version)) not in had
    )
    print(
        f"{sum(map(len, made.values()))} examples of {len(EVENT_TYPES) - len(missing)} types written or kept"
    )
    if missing:
        print(f"without an example: {', '.join(missing)}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
