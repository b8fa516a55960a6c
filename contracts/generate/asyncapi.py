"""The AsyncAPI 3 document: every topic with its configuration, and every message with headers, key and payload.

Payloads are the schema files, by reference. A sealed record's payload is what its value holds once opened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from contracts import topics
from contracts.events.registry import EventType
from contracts.generate import header_table
from contracts.generate.header_table import Header
from contracts.generate.history import SCHEMAS, schema_path
from contracts.generate.records import RECORDS, TENANT_EVENTS, TENANT_KEYS
from contracts.topics import TopicSpec

Document = dict[str, Any]
VERSION: Final = "1.0.0"
KAFKA_BINDING: Final = "0.5.0"
_SEALED: Final = (
    "The value is sealed (`MW`, version 1, suite 1): the payload described here is what it holds once opened."
)
_BYTES: Final = {"type": "string", "format": "binary"}


def topic_specs() -> tuple[TopicSpec, ...]:
    """All topics; those of a slot with `{slot}` in the name."""
    return (*topics.STATIC_TOPICS, *topics.slot_topics("{slot}", 1))


def channel_id(topic: str) -> str:
    """The name of a topic's channel: without the prefix, and a pattern without its braces."""
    return topic.removeprefix("mk.").replace("{slot}", "slot").replace(".", "_")


def document(types: Mapping[str, EventType]) -> Document:
    """The whole document, for a file in `contracts/`."""
    messages = _messages(types)
    by_channel: dict[str, list[str]] = {}
    for name, (topic, _) in messages.items():
        by_channel.setdefault(topic, []).append(name)
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "MKChannels ingest: topics and events",
            "version": VERSION,
            "description": "Webhooks of Meta, verified once, kept in Kafka, handed on as CloudEvents sealed for one tenant. "
            "Generated from `contracts`; do not edit.",
        },
        "defaultContentType": "application/json",
        "channels": {
            channel_id(spec.name): _channel(spec, by_channel.get(spec.name, [])) for spec in topic_specs()
        },
        "operations": {
            f"{process}_{verb}_{channel_id(spec.name)}": {
                "action": action,
                "channel": {"$ref": f"#/channels/{channel_id(spec.name)}"},
                "summary": f"{process.capitalize()} {verb} {spec.name}.",
            }
            for spec in topic_specs()
            for verb, action, processes in (
                ("writes", "send", spec.producers),
                ("reads", "receive", spec.consumers),
            )
            for process in processes
        },
        "components": {
            "messages": {name: message for name, (_, message) in messages.items()},
            "schemas": {
                "event_headers": _headers(
                    (*header_table.EVENT, *header_table.EPOCH, *_optional(header_table.ADDED))
                )
            },
        },
    }


def _channel(spec: TopicSpec, messages: Sequence[str]) -> Document:
    channel: Document = {
        "address": spec.name,
        "title": spec.name,
        "description": f"{spec.purpose} Owner: {spec.owner}.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {
            "kafka": {
                "partitions": spec.partitions,
                "topicConfiguration": {
                    "cleanup.policy": ["compact" if spec.compacted else "delete"],
                    "retention.ms": -1 if spec.retention_ms is None else spec.retention_ms,
                    "max.message.bytes": spec.max_message_bytes,
                },
                "bindingVersion": KAFKA_BINDING,
            }
        },
    }
    if "{slot}" in spec.name:
        channel["parameters"] = {
            "slot": {
                "description": "The tenant's slot: opaque, bound once, never reused. Control says which."
            }
        }
        channel["description"] += " The number of partitions is fixed when the slot is made."
        del channel["bindings"]["kafka"]["partitions"]
    return channel


def _messages(types: Mapping[str, EventType]) -> dict[str, tuple[str, Document]]:
    """Topic and message by the message's name."""
    found: dict[str, tuple[str, Document]] = {
        "raw_block": (
            topics.RAW,
            _message(
                "One to many verified deliveries, compressed with zstd and sealed for the router.",
                (*header_table.RAW, *header_table.EPOCH, *_optional(header_table.ADDED)),
                _BYTES,
                content_type="application/octet-stream",
            ),
        )
    }
    aside: tuple[tuple[str, str, Sequence[Header]], ...] = (
        (topics.QUARANTINE_RAW, "A raw record", header_table.RAW),
        (topics.QUARANTINE_TENANT, "A tenant's record", header_table.EVENT),
    )
    for topic, what, covered in aside:
        found[channel_id(topic)] = (
            topic,
            _message(
                f"{what} as it was sealed, with signed facts of what is bad and why.",
                (
                    *_optional(covered),
                    *_optional(header_table.EPOCH),
                    *header_table.ADDED,
                ),
                _BYTES,
                key={"type": "string", "description": "`topic:partition:offset` of its source."},
                content_type="application/octet-stream",
            ),
        )
    for record in RECORDS:
        if record.is_within:
            continue
        headers = {
            topics.CONTROL: header_table.CONTROL,
            TENANT_KEYS: header_table.CONTROL,
            topics.ERASURE_FENCES: header_table.CONTROL,
            topics.ERASURE_OUTCOMES: header_table.CONTROL,
            topics.AUDIT_CHECKPOINTS: header_table.CONTROL,
            topics.ERASURE_REQUESTS: (*header_table.REQUEST, *header_table.EPOCH),
            TENANT_EVENTS: (*header_table.NOTICE, *header_table.EPOCH),
        }.get(record.topic, ())
        found[record.name] = (
            record.topic,
            _message(
                _SEALED if record.sealed else "The value is plain JSON.",
                headers,
                _file(record.name, record.version),
                key={"type": "string", "description": record.key},
                title=record.name,
            ),
        )
    for name, kind in sorted(types.items()):
        found[name] = TENANT_EVENTS, _event(kind)
    return found


def _event(kind: EventType) -> Document:
    message = _message(
        _SEALED,
        (),
        _file(kind.name, kind.version),
        key={
            "type": "string",
            "description": "The conversation's pseudonym, 16 bytes: `ce_subject` in binary.",
        },
        title=kind.name,
    )
    message["headers"] = {
        "allOf": [
            {"$ref": "#/components/schemas/event_headers"},
            {
                "type": "object",
                "properties": {
                    "ce_type": {"const": kind.name},
                    "ce_dataschema": {"const": kind.dataschema},
                },
            },
        ]
    }
    return message


def _message(
    description: str,
    headers: Sequence[Header],
    payload: Document,
    *,
    key: Document | None = None,
    title: str | None = None,
    content_type: str = "application/json",
) -> Document:
    message: Document = {
        "description": description,
        "contentType": content_type,
        "payload": payload,
    }
    if headers:
        message["headers"] = _headers(headers)
    if title is not None:
        message = {"title": title, **message}
    if key is not None:
        message["bindings"] = {"kafka": {"key": key, "bindingVersion": KAFKA_BINDING}}
    return message


def _headers(headers: Sequence[Header]) -> Document:
    return {
        "type": "object",
        "properties": {header.name: _header(header) for header in headers},
        "required": [header.name for header in headers if header.always],
    }


def _optional(headers: Sequence[Header]) -> tuple[Header, ...]:
    """The same where they may be missing: what was set aside may be damaged, and only what was put back has facts."""
    return tuple(Header(one.name, one.meaning, one.pattern, always=False) for one in headers)


def _header(header: Header) -> Document:
    if header.pattern is None:
        return {**_BYTES, "description": header.meaning}
    return {"type": "string", "pattern": header.pattern, "description": header.meaning}


def _file(name: str, version: int) -> Document:
    return {"$ref": "./" + schema_path(name, version).removeprefix(SCHEMAS.partition("/")[0] + "/")}
