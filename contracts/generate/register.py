"""The register of processing operations that LGPD art. 37 asks of an operator, in English and Brazilian Portuguese.

Everything in it is what the code declares: one operation per purpose, legal basis, retention class and scope of the event
types, then every topic. Must never say more than the code does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from contracts.events.registry import EventType, Subject
from contracts.generate import register_words as words
from contracts.generate.asyncapi import topic_specs
from contracts.generate.register_words import Language, said
from contracts.topics import DAY_MS, HOUR_MS, TopicSpec, slot_topics

Operation = tuple[str, str, str, str]
"""Purpose, legal basis, retention class, scope."""

_SUBJECTS: Final = {
    Subject.CUSTOMER: "the company's customer or correspondent",
    Subject.CHANGED: "the company's customer or correspondent",
    Subject.AUTHOR: "the author of a comment, post, mention or rating",
    Subject.PARTICIPANT: "a participant of a group",
    Subject.ENTRY: "somebody in the company's address book",
    Subject.NOBODY: "nobody by an id; people may be named in what Meta sent",
}

_TEXTS: Final[Mapping[str, Mapping[Language, str]]] = {
    "title": {
        "en": "Register of processing operations (LGPD art. 37)",
        "pt": "Registro das operações de tratamento (LGPD, art. 37)",
    },
    "generated": {
        "en": "Generated from `contracts` by `make docs`; do not edit. [Em português](register.pt-BR.md).",
        "pt": "Gerado a partir de `contracts` por `make docs`; não edite. [In English](register.md).",
    },
    "roles": {
        "en": "The tenant (the company that connected its accounts) is the controller; MKChannels is the operator and acts "
        "on the tenant's behalf. For the tenants' administrators MKChannels is itself the controller.",
        "pt": "A empresa que conectou as suas contas é a controladora; MKChannels é a operadora e atua em nome dela. "
        "Quanto aos administradores das empresas, MKChannels é a própria controladora.",
    },
    "source": {
        "en": "All data comes from webhooks of Meta (WhatsApp, Instagram, Messenger) about accounts whose administrator gave "
        "consent within a scope; without an active consent, or outside its scope, an event is refused and not kept.",
        "pt": "Todos os dados vêm de webhooks da Meta (WhatsApp, Instagram, Messenger) sobre contas cujo administrador deu "
        "consentimento dentro de um escopo; sem consentimento ativo, ou fora do escopo, o evento é recusado e não é guardado.",
    },
    "recipients_are": {
        "en": "the tenant; services downstream that the tenant has granted access in a recorded grant",
        "pt": "a empresa; serviços a jusante aos quais a empresa deu acesso por autorização registrada",
    },
    "kept": {
        "en": "as many days as the tenant has set, then dropped; on the topic {hours} hours",
        "pt": "os dias que a empresa fixou, depois descartado; no tópico, {hours} horas",
    },
    "safeguards": {"en": "Safeguards", "pt": "Medidas de segurança"},
    "operations": {"en": "Operations", "pt": "Operações"},
    "purpose": {"en": "purpose", "pt": "finalidade"},
    "basis": {"en": "legal basis", "pt": "base legal"},
    "scope": {"en": "scope of consent", "pt": "escopo do consentimento"},
    "subjects": {"en": "data subjects", "pt": "titulares"},
    "categories": {"en": "categories of data", "pt": "categorias de dados"},
    "retention": {"en": "kept", "pt": "conservação"},
    "class": {"en": "class", "pt": "classe"},
    "recipients": {"en": "recipients", "pt": "destinatários"},
    "types": {"en": "event types", "pt": "tipos de evento"},
    "by_type": {"en": "By event type", "pt": "Por tipo de evento"},
    "type": {"en": "event type", "pt": "tipo de evento"},
    "operation": {"en": "operation", "pt": "operação"},
    "fields": {"en": "personal fields", "pt": "campos pessoais"},
    "topics": {"en": "Topics", "pt": "Tópicos"},
    "topic": {"en": "topic", "pt": "tópico"},
    "producers": {"en": "written by", "pt": "escrito por"},
    "consumers": {"en": "read by", "pt": "lido por"},
    "form": {"en": "personal data in it", "pt": "dados pessoais nele"},
    "for_ever": {"en": "as long as the service runs", "pt": "enquanto o serviço existir"},
    "days": {"en": "days", "pt": "dias"},
    "hours": {"en": "hours", "pt": "horas"},
}

_SAFEGUARDS: Final[Mapping[Language, tuple[str, ...]]] = {
    "en": (
        "Sealed from the receiver to the tenant's own lane (AES-256-GCM under keys of at most five minutes, "
        "ML-KEM-768 with X25519, Ed25519 signatures).",
        "Encrypted in the database under a key per person; erasure destroys the key.",
        "Keys, topic, database schema and pseudonyms are each tenant's own.",
        "Identifiers outside sealed values stand only as keyed hashes (pseudonyms).",
        "Reading in the clear needs a stated purpose and is recorded.",
        "No payload reaches a log, a metric, a trace or an error.",
    ),
    "pt": (
        "Lacrado do receptor até a via da própria empresa (AES-256-GCM sob chaves de no máximo cinco minutos, "
        "ML-KEM-768 com X25519, assinaturas Ed25519).",
        "Cifrado no banco de dados sob uma chave por pessoa; a eliminação destrói a chave.",
        "Chaves, tópico, esquema do banco de dados e pseudônimos são próprios de cada empresa.",
        "Identificadores fora dos valores lacrados aparecem somente como hash com chave (pseudônimos).",
        "A leitura em claro exige finalidade declarada e fica registrada.",
        "Nenhum conteúdo chega a registros de log, métricas, rastreamentos ou mensagens de erro.",
    ),
}


def operations(types: Mapping[str, EventType]) -> dict[Operation, list[EventType]]:
    """The event types of each operation, in the order of declaration."""
    found: dict[Operation, list[EventType]] = {}
    for kind in types.values():
        key = (kind.purpose, str(kind.legal_basis), str(kind.retention), str(kind.scope))
        found.setdefault(key, []).append(kind)
    return found


def register(types: Mapping[str, EventType], language: Language) -> str:
    """The register as Markdown. Raises KeyError with a declared text that has no Portuguese yet."""

    def text(name: str) -> str:
        return _TEXTS[name][language]

    lines = [f"# {text('title')}", "", text("generated"), "", text("roles"), "", text("source"), ""]
    lines += [f"## {text('safeguards')}", "", *(f"* {line}" for line in _SAFEGUARDS[language]), ""]
    lines += [f"## {text('operations')}", ""]
    found = operations(types)
    for number, (operation, kinds) in enumerate(found.items(), 1):
        lines += [*_operation(number, operation, kinds, language), ""]
    lines += [f"## {text('by_type')}", ""]
    numbers = {kind.name: number for number, kinds in enumerate(found.values(), 1) for kind in kinds}
    lines += _table((text("type"), text("operation"), text("subjects"), text("fields")))
    lines += [
        _row(
            (
                f"`{name}`",
                str(numbers[name]),
                _subject(kind, language),
                ", ".join(f"`{path}`" for path in kind.personal_fields),
            )
        )
        for name, kind in sorted(types.items())
    ]
    lines += ["", f"## {text('topics')}", ""]
    lines += _table(
        [text(name) for name in ("topic", "purpose", "producers", "consumers", "form", "retention")]
    )
    lines += [_topic(spec, language) for spec in topic_specs()]
    return "\n".join(lines) + "\n"


def _operation(
    number: int, operation: Operation, kinds: Sequence[EventType], language: Language
) -> list[str]:
    purpose, basis, retention, scope = operation
    spoken = said(purpose, language)
    categories = {words.category_of(path): None for kind in kinds for path in kind.personal_fields}
    kept = _TEXTS["kept"][language].format(hours=_topic_hours())
    facts = (
        ("basis", words.LEGAL_BASES[basis][language]),
        ("scope", words.SCOPES[scope][language]),
        ("subjects", "; ".join(dict.fromkeys(_subject(kind, language) for kind in kinds))),
        (
            "categories",
            "; ".join(words.CATEGORIES[name][language] for name in words.CATEGORIES if name in categories),
        ),
        ("retention", f"{_TEXTS['class'][language]} *{words.RETENTION[retention][language]}*: {kept}"),
        ("recipients", _TEXTS["recipients_are"][language]),
        ("types", ", ".join(f"`{kind.name}`" for kind in kinds)),
    )
    heading = f"### {number}. {spoken[0].upper()}{spoken[1:]}"
    return [heading, "", *(f"* **{_TEXTS[name][language]}**: {value}" for name, value in facts)]


def _topic_hours() -> int:
    events, _ = slot_topics("{slot}", 1)
    return (events.retention_ms or 0) // HOUR_MS


def _subject(kind: EventType, language: Language) -> str:
    return said(_SUBJECTS[kind.subject], language)


def _topic(spec: TopicSpec, language: Language) -> str:
    return _row(
        (
            f"`{spec.name}`",
            said(spec.purpose, language),
            ", ".join(spec.producers),
            ", ".join(spec.consumers),
            words.PERSONAL_FORM[spec.name][language],
            _duration(spec.retention_ms, language),
        )
    )


def _duration(milliseconds: int | None, language: Language) -> str:
    if milliseconds is None:
        return _TEXTS["for_ever"][language]
    if milliseconds > 4 * DAY_MS:
        return f"{milliseconds // DAY_MS} {_TEXTS['days'][language]}"
    return f"{milliseconds // HOUR_MS} {_TEXTS['hours'][language]}"


def _table(names: Sequence[str]) -> list[str]:
    return [_row(names), _row(["---"] * len(names))]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
