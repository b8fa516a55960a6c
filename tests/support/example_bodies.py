"""Deliveries written by hand by META.md sections 6 to 8: the commonest kinds, and those that the corpus has no sample of.

Everybody in them is invented.
"""

from typing import Any, Final

Json = dict[str, Any]

WABA: Final = "310200300400501"
NUMBER: Final = {"display_phone_number": "553133445566", "phone_number_id": "310200300400777"}
PERSON: Final = "5531987650001"
AT: Final = "1772456400"
WAMID: Final = "wamid.HBgNNTUzMTk4NzY1MDAwMRUCABIYEjNFQjBEMUY0QTZCNzhDOTAxMgA="


def example_bodies() -> dict[str, Json]:
    """Bodies by the event type that each is an example of; several of one type are told apart by a product."""
    return {
        **_common(),
        **_account(),
        **_chat(),
        **_groups(),
        **_messenger(),
    }


def _whatsapp(field: str, **value: Any) -> Json:
    entry = {"id": WABA, "time": int(AT), "changes": [{"field": field, "value": value}]}
    return {"object": "whatsapp_business_account", "entry": [entry]}


def _number(field: str, **value: Any) -> Json:
    return _whatsapp(field, messaging_product="whatsapp", metadata=NUMBER, **value)


def _page(kind: str, part: Json, provider_object: str = "page") -> Json:
    item = {
        "sender": {"id": "7200000000000001"},
        "recipient": {"id": "710300400500601"},
        "timestamp": 1772456400123,
        kind: part,
    }
    entry = {"id": "710300400500601", "time": 1772456400200, "messaging": [item]}
    return {"object": provider_object, "entry": [entry]}


def _change(provider_object: str, change: Json) -> Json:
    entry = {"id": "710300400500601", "time": int(AT), "changes": [change]}
    return {"object": provider_object, "entry": [entry]}


def _common() -> dict[str, Json]:
    contact = {"profile": {"name": "Ana Teixeira"}, "wa_id": PERSON}
    instagram = "17841407001002003"
    direct = {
        "sender": {"id": "1784907001002003"},
        "recipient": {"id": instagram},
        "timestamp": 1772456400123,
        "message": {
            "mid": "aWdfZAG1faXRlbToxOklHTWVzc2FnZAElEOjE3ODQx",
            "text": "Vocês fazem entrega em Contagem?",
        },
    }
    comment = {
        "id": "17870001002003004",
        "text": "Que lindo! Tem na cor azul?",
        "from": {"id": "1784907001002003", "username": "ana.teixeira.bh"},
        "media": {"id": "17880001002003004", "media_product_type": "FEED"},
    }
    return {
        "message.received whatsapp": _number(
            "messages",
            contacts=[contact],
            messages=[
                {
                    "from": PERSON,
                    "id": WAMID,
                    "timestamp": AT,
                    "type": "text",
                    "text": {"body": "Bom dia! Vocês abrem no sábado?"},
                }
            ],
        ),
        "message.received messenger": _page(
            "message", {"mid": "m_RXhlbXBsbzAwMDJyZXNwb3N0YQ", "text": "Qual é o prazo de entrega?"}
        ),
        "message.received instagram": {
            "object": "instagram",
            "entry": [{"id": instagram, "time": 1772456400200, "messaging": [direct]}],
        },
        "comment.created": {
            "object": "instagram",
            "entry": [
                {"id": instagram, "time": int(AT), "changes": [{"field": "comments", "value": comment}]}
            ],
        },
    }


def _account() -> dict[str, Json]:
    flow = {"flow_id": "910000000000042"}
    return {
        "account.status_changed": _whatsapp("business_status_update", event="BUSINESS_VERIFIED"),
        "account.updated": _whatsapp(
            "account_update", phone_number="553133445566", event="SOMETHING_NEW_OF_METAS"
        ),
        "flow.status_changed": _whatsapp(
            "flows",
            event="FLOW_STATUS_CHANGE",
            message="O flow Agendamento passou de DRAFT para PUBLISHED",
            old_status="DRAFT",
            new_status="PUBLISHED",
            **flow,
        ),
        "flow.health_reported": _whatsapp(
            "flows",
            event="ENDPOINT_ERROR_RATE",
            message="A taxa de erros do endpoint chegou a 12%",
            error_rate=12.5,
            threshold=10,
            alert_state="ACTIVATED",
            **flow,
        ),
        "flow.version_expiring": _whatsapp(
            "flows",
            event="FLOW_VERSION_EXPIRY_WARNING",
            warning="A versão 2.1 do flow expira em 30 dias",
            **flow,
        ),
        "flow.changed": _whatsapp("flows", event="ENDPOINT_MOVED", message="Endpoint novo", **flow),
        "conversion.detected": _number(
            "automatic_events",
            automatic_events=[
                {
                    "id": WAMID,
                    "event_name": "Purchase",
                    "timestamp": int(AT),
                    "ctwa_clid": "AfgQ8zTfExemploDeClique0001",
                    "custom_data": {"currency": "BRL", "value": 129.9},
                }
            ],
        ),
        "permission.revoked": _change("permissions", {"field": "pages_messaging", "verb": "revoked"}),
        "permission.changed": _change(
            "permissions",
            {"field": "pages_messaging", "value": {"verb": "limited", "target_ids": ["710300400500601"]}},
        ),
    }


def _chat() -> dict[str, Json]:
    contact = {"profile": {"name": "Ana Teixeira"}, "wa_id": PERSON}
    return {
        "message.status_changed": _number(
            "messages",
            statuses=[{"id": WAMID, "status": "deleted", "timestamp": AT, "recipient_id": PERSON}],
        ),
        "payment.status_changed": _number(
            "messages",
            statuses=[
                {
                    "id": WAMID,
                    "status": "captured",
                    "timestamp": AT,
                    "recipient_id": PERSON,
                    "type": "payment",
                    "payment": {
                        "reference_id": "pedido-4711",
                        "amount": {"value": 18990, "offset": 100},
                        "currency": "BRL",
                        "transaction": {
                            "id": "txn-0001",
                            "type": "pix",
                            "status": "success",
                            "created_timestamp": AT,
                        },
                    },
                }
            ],
        ),
        "system_notice.received": _number(
            "messages",
            contacts=[contact],
            messages=[
                {
                    "from": PERSON,
                    "id": WAMID,
                    "timestamp": AT,
                    "type": "system",
                    "system": {
                        "type": "chat_secured",
                        "body": "As mensagens desta conversa ficam protegidas",
                    },
                }
            ],
        ),
        "call.changed": _number(
            "calls",
            calls=[
                {
                    "id": "wacid.QUJHR1NPTUVDQUxMSUQ=",
                    "from": PERSON,
                    "to": NUMBER["display_phone_number"],
                    "event": "hold",
                    "timestamp": AT,
                    "direction": "USER_INITIATED",
                }
            ],
        ),
        "history.imported": _number(
            "history",
            history=[
                {
                    "metadata": {"phase": 0, "chunk_order": 1, "progress": 55},
                    "threads": [
                        {
                            "id": PERSON,
                            "messages": [
                                {
                                    "from": PERSON,
                                    "id": WAMID,
                                    "timestamp": AT,
                                    "type": "text",
                                    "text": {"body": "Bom dia! O conserto ficou pronto?"},
                                    "history_context": {"status": "READ"},
                                }
                            ],
                        }
                    ],
                }
            ],
        ),
        "history.declined": _number(
            "history",
            history=[
                {
                    "errors": [
                        {
                            "code": 2593109,
                            "title": "History sharing is turned off by the business",
                            "message": "History sharing is turned off by the business",
                            "error_data": {"details": "A empresa não quis compartilhar o histórico"},
                        }
                    ]
                }
            ],
        ),
    }


def _groups() -> dict[str, Json]:
    group = {
        "timestamp": AT,
        "group_id": "Y2FwaV9ncm91cDoxMjAzNjM0MDAwMDAwMDAwMDE=",
        "request_id": "req-0001",
    }
    return {
        "group.deleted": _number("group_lifecycle_update", groups=[{**group, "type": "group_delete"}]),
        "group.reinstated": _number(
            "group_status_update", groups=[{**group, "type": "group_suspend_cleared"}]
        ),
        "group.changed": _number("group_settings_update", groups=[{**group, "type": "group_pinned"}]),
        "group.participant_failed": _number(
            "group_participants_update",
            groups=[
                {
                    **group,
                    "type": "group_participants_remove",
                    "failed_participants": [
                        {
                            "input": PERSON,
                            "errors": [
                                {
                                    "code": 131026,
                                    "title": "Message undeliverable",
                                    "message": "Não está no grupo",
                                }
                            ],
                        }
                    ],
                }
            ],
        ),
    }


def _messenger() -> dict[str, Json]:
    mention = {"post_id": "710300400500601_810000000000011", "sender_id": "7200000000000001", "item": "post"}
    return {
        "message.received messenger place": _page(
            "message",
            {
                "mid": "m_RXhlbXBsbzAwMDI",
                "attachments": [
                    {
                        "type": "location",
                        "title": "Praça da Liberdade",
                        "url": "https://www.facebook.com/l.php?u=https%3A%2F%2Fmaps.example",
                        "payload": {"coordinates": {"lat": -19.9321, "long": -43.9381}},
                    }
                ],
            },
        ),
        "message.received messenger file": _page(
            "message",
            {
                "mid": "m_RXhlbXBsbzAwMDM",
                "attachments": [{"type": "image", "payload": {"url": "https://cdn.example/foto.jpg"}}],
            },
        ),
        "cart.sent": _page(
            "send_cart",
            {
                "note": "Entregar depois das 18h",
                "source": "shop",
                "version": 1,
                "product_items": [{"product_id": "820000000000031", "quantity": 2}],
            },
        ),
        "feedback.received": _page(
            "response_feedback", {"feedback": "Good response", "mid": "m_RXhlbXBsbzAwMDE"}
        ),
        "comment.changed": _change(
            "page",
            {
                "field": "feed",
                "value": {
                    "item": "comment",
                    "verb": "follow",
                    "comment_id": "810000000000011_830000000000021",
                    "post_id": "710300400500601_810000000000011",
                    "from": {"id": "7200000000000001", "name": "Ana Teixeira"},
                    "created_time": int(AT),
                },
            },
        ),
        "mention.edited": _change(
            "page",
            {"field": "mention", "value": {**mention, "verb": "edited", "message": "Recomendo a loja!"}},
        ),
        "mention.removed": _change("page", {"field": "mention", "value": {**mention, "verb": "remove"}}),
        "message.announced": _page(
            "message_edit", {"mid": "aWdfZAG1faXRlbToxOklHTWVzc2FnZAElE", "num_edit": 0}, "instagram"
        ),
    }
