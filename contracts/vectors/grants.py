"""The vectors of a grant's keys, written out a second time as docs/wire-format.md says it."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Final
from uuid import UUID

from contracts import topics
from contracts.vectors.cast import ACME, OTHER, RECIPIENTS, SIGNERS, T0_S, Cast, RecordedRecipient

Json = dict[str, object]
GRANT: Final = UUID("3f1d2c4b-5a69-4788-8b97-a6b5c4d3e2f1")
TOPIC: Final = topics.tenant_keys_topic("acmeslot23")
_DAY_MS: Final = 86_400_000


def grant_keys(cast: Cast) -> Json:
    """`grant.json`: `acme`'s key for a reader that holds `other`'s private half."""
    day = RECIPIENTS["acme"]
    reader = RecordedRecipient("grant key", RECIPIENTS["other"], cast.recorded)
    key_id, from_ms = day.public.key_id, T0_S * 1000
    until_ms = from_ms + 4 * _DAY_MS
    info = b"".join(
        (
            b"mkchannels grant key info v1\x00",
            _lp(TOPIC.encode()),
            ACME.bytes,
            GRANT.bytes,
            key_id,
            from_ms.to_bytes(8),
            until_ms.to_bytes(8),
        )
    )
    fields: Json = {
        "version": 1,
        "grant": str(GRANT),
        "tenant": str(ACME),
        "key_id": key_id.hex(),
        "active_from_ms": from_ms,
        "seal_until_ms": until_ms,
        "wrapped": b64encode(reader.seal(day.raw, info)).decode(),
    }
    good = _signed("custodian", TOPIC, GRANT, fields)
    elsewhere = topics.tenant_keys_topic("otherslot7")
    return {
        "about": "Ed25519 over `mkchannels grant key v1` 00 | len2 by | len2 topic | len2 key | value, headers `by` and `sig`; "
        "`wrapped` is HPKE with info `mkchannels grant key info v1` 00 | len2 topic | tenant | grant | key id | both times 8.",
        "reader": "other",
        "good": [{**good, "private": day.raw.hex(), "tenant": str(ACME)}],
        "refused": [
            {"because": "the value was changed", **good, "value": str(good["value"])[:-1] + " }"},
            {"because": "it lies on another topic", **good, "topic": elsewhere},
            {"because": "it stands under another grant", **good, "key": UUID(int=1).bytes.hex()},
            {"because": "the signer may not say it", **_signed("router", TOPIC, GRANT, fields)},
            {"because": "the signer is known to nobody", **_signed("mallory", TOPIC, GRANT, fields)},
            {"because": "signed rightly, wrapped for another topic", **_signed("custodian", elsewhere, GRANT, fields)},
            {"because": "signed rightly, wrapped for another tenant", **_signed("custodian", TOPIC, GRANT, {**fields, "tenant": str(OTHER)})},
            {"because": "signed rightly, another key id", **_signed("custodian", TOPIC, GRANT, {**fields, "key_id": "00000000"})},
            {"because": "signed rightly, a later end", **_signed("custodian", TOPIC, GRANT, {**fields, "seal_until_ms": until_ms + 1})},
        ],
    }  # fmt: skip


def _signed(by: str, topic: str, grant: UUID, fields: Json) -> Json:
    value = json.dumps(fields, separators=(",", ":"))
    message = b"mkchannels grant key v1\x00" + _lp(by.encode()) + _lp(topic.encode()) + _lp(grant.bytes)
    signature = SIGNERS[by].sign(message + value.encode())
    return {"topic": topic, "by": by, "key": grant.bytes.hex(), "value": value, "sig": signature.hex()}


def _lp(content: bytes) -> bytes:
    return len(content).to_bytes(2) + content
