"""The vectors of single fields: statement, digest, HPKE, pseudonym, event id, block, added facts, control record.

What the code under test computes is written out here a second time, as docs/wire-format.md says it.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from contracts import block, ids, pseudonyms
from contracts.headers import sealed_digest
from contracts.vectors.cast import ACME, PSEUDONYM_KEY, SIGNERS, T0_S, TOPIC, Cast, VectorEpoch

Json = dict[str, object]
_INFO: Final = b"mkchannels epoch v1\x00"
_XWING: Final = bytes.fromhex("5c2e2f2f5e5c")
_SUITE: Final = b"HPKE\x64\x7a\x00\x01\x00\x02"


def statements(cast: Cast) -> Json:
    """`statement.json`."""
    good = [cast.router, cast.erasure, cast.other]
    encoded = cast.router.statement.encode()
    changed = {
        "a byte too many": encoded + b"\x00",
        "cut short": encoded[:-1],
        "empty": b"",
        "version 2": b"\x02" + encoded[1:],
        "suite 2": encoded[:1] + b"\x02" + encoded[2:],
        "a length beyond the end": encoded[:38] + b"\xff" + encoded[39:],
        "a letter outside ASCII": encoded[:39] + b"\xe9" + encoded[40:],
    }
    return {
        "about": "version 1 | suite 1 | recipient key id 4 | tenant uuid 16 | not before 8 | not after 8 (Unix s) | length 1 | "
        "signer | length 1 | topic. The signature (Ed25519) is over `mkchannels epoch signature v1` 00 | statement | ek_key.",
        "good": [
            {
                "recipient_key_id": one.statement.recipient_key_id.hex(),
                "tenant": str(one.statement.tenant),
                "topic": one.statement.topic,
                "signer": one.statement.signer,
                "not_before_s": one.statement.not_before_s,
                "not_after_s": one.statement.not_after_s,
                "encoded": one.statement.encode().hex(),
                "ek_key": dict(one.sealing.headers)["ek_key"].hex(),
                "ek_sig": dict(one.sealing.headers)["ek_sig"].hex(),
            }
            for one in good
        ],
        "refused": [{"because": why, "encoded": raw.hex()} for why, raw in changed.items()],
    }


def hpke(cast: Cast) -> Json:
    """`hpke.json`: with every value in between."""
    return {
        "about": "HPKE base mode, one shot, KEM 0x647a (MLKEM768-X25519), KDF 0x0001 (HKDF-SHA256), AEAD 0x0002 (AES-256-GCM); "
        "aad empty; info is `mkchannels epoch v1` 00 | statement.",
        "good": [_hpke_steps(one) for one in (cast.router, cast.other)],
    }


def _hpke_steps(epoch: VectorEpoch) -> Json:
    raw, sealed = epoch.recipient.raw, dict(epoch.sealing.headers)["ek_key"]
    info = _INFO + epoch.statement.encode()
    ct_m, ct_x = sealed[:1088], sealed[1088:1120]
    scalar = X25519PrivateKey.from_private_bytes(raw[64:])
    ss_m = MLKEM768PrivateKey.from_seed_bytes(raw[:64]).decapsulate(ct_m)
    ss_x = scalar.exchange(X25519PublicKey.from_public_bytes(ct_x))
    public_x = scalar.public_key().public_bytes_raw()
    shared = hashlib.sha3_256(ss_m + ss_x + ct_x + public_x + _XWING).digest()

    def extract(salt: bytes, label: bytes, ikm: bytes) -> bytes:
        return hmac.digest(salt, b"HPKE-v1" + _SUITE + label + ikm, "sha256")

    def expand(secret: bytes, label: bytes, context: bytes, size: int) -> bytes:
        labelled = struct.pack(">H", size) + b"HPKE-v1" + _SUITE + label + context
        return hmac.digest(secret, labelled + b"\x01", "sha256")[:size]

    context = b"\x00" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(shared, b"secret", b"")
    return {
        "private": raw.hex(),
        "info": info.hex(),
        "sealed": sealed.hex(),
        "mlkem_shared": ss_m.hex(),
        "x25519_shared": ss_x.hex(),
        "shared_secret": shared.hex(),
        "key": expand(secret, b"key", context, 32).hex(),
        "nonce": expand(secret, b"base_nonce", context, 12).hex(),
        "plaintext": epoch.epoch_key.hex(),
    }


def canonical(topic: str, headers: Sequence[tuple[str, bytes]]) -> bytes:
    """What is hashed: the topic, then the sealed headers sorted by name, all length-prefixed."""
    out = struct.pack(">H", len(topic)) + topic.encode()
    for name, value in sorted(pair for pair in headers if pair[0].startswith(("ce_", "mk_"))):
        out += struct.pack(">H", len(name)) + name.encode() + struct.pack(">I", len(value)) + value
    return out


def digests() -> Json:
    """`header_digest.json`."""
    good: dict[str, list[tuple[str, bytes]]] = {
        "no headers": [],
        "sorted by name, whatever the order": [("mk_b", b"2"), ("ce_a", b"1"), ("mk_a", b"\x00\xff")],
        "others are left out": [
            ("ce_a", b"1"),
            ("ek_key", b"x"),
            ("q_by", b"router"),
            ("traceparent", b"00"),
        ],
        "an empty value": [("mk_person", b"")],
    }
    return {
        "about": "SHA-256 of: length 2 | topic, then for each ce_ and mk_ header, sorted by the bytes of its name: length 2 | "
        "name | length 4 | value. Big-endian.",
        "good": [
            {
                "name": name,
                "topic": TOPIC,
                "headers": [[header, value.hex()] for header, value in headers],
                "canonical": canonical(TOPIC, headers).hex(),
                "digest": sealed_digest(TOPIC, headers).hex(),
            }
            for name, headers in good.items()
        ],
        "refused": [
            {
                "because": "a header stands twice",
                "topic": TOPIC,
                "headers": [["ce_a", "31"], ["ce_a", second]],
            }
            for second in ("31", "32")
        ],
    }


def pseudonym_vectors() -> Json:
    """`pseudonym.json`."""
    values = {
        pseudonyms.Domain.PHONE: ("5511987654321", ""),
        pseudonyms.Domain.BSUID: ("BR.1349120823471231",),
        pseudonyms.Domain.PSID: ("6154023847123412",),
        pseudonyms.Domain.IGSID: ("6154023847123412",),
        pseudonyms.Domain.MESSAGE_REF: ("106540352242922:wamid.HBgNNTUxMTk4NzY1NDMyMQ==",),
        pseudonyms.Domain.CONVERSATION: ("3b7a5d0e-8a3f-4d5c-9d7e-6c2f6a1b9c33:5511987654321", "ação"),
    }
    phones = ("+55 (11) 98765-4321", "551187654321", "5511987654321", "551133334444", "14155550100", "")
    return {
        "about": "HMAC-SHA256(key, domain byte | length 2 | UTF-8)[:16]. Only the router and the store hold the key.",
        "key": PSEUDONYM_KEY.hex(),
        "good": [
            {
                "domain": domain.value.decode(),
                "value": value,
                "pseudonym": pseudonyms.pseudonym(PSEUDONYM_KEY, domain, value).hex(),
            }
            for domain, some in values.items()
            for value in some
        ],
        "phone_forms": [{"phone": one, "forms": list(pseudonyms.phone_forms(one))} for one in phones],
    }


def event_ids() -> Json:
    """`event_id.json`."""
    cases: tuple[tuple[int | None, str | None, tuple[str, ...]], ...] = (
        (T0_S * 1000, "wamid.ONE", ()),
        (T0_S * 1000 + 999, "wamid.ONE", ()),
        (T0_S * 1000, "wamid.ONE", ("react", "❤")),
        (None, None, ("a", "bc")),
        (None, None, ("ab", "c")),
    )
    return {
        "about": "UUIDv8: 48 bits Unix ms floored to the second (0 when undated), then bits of HMAC-SHA256(pseudonym key, "
        "`mkchannels event id v1` 00 | length 4 and UTF-8 of object, account, kind, native id, each discriminator).",
        "key": PSEUDONYM_KEY.hex(),
        "good": [
            {
                "occurred_at_ms": at_ms,
                "object": "whatsapp_business_account",
                "account": "106540352242922",
                "kind": "message.received",
                "native_id": native,
                "discriminator": list(rest),
                "id": str(
                    ids.event_id(
                        PSEUDONYM_KEY,
                        occurred_at_ms=at_ms,
                        provider_object="whatsapp_business_account",
                        account="106540352242922",
                        kind="message.received",
                        native_id=native,
                        discriminator=rest,
                    )
                ),
            }
            for at_ms, native, rest in cases
        ],
    }


def blocks(cast: Cast) -> Json:
    """`block.json`."""
    deliveries = [
        block.Delivery("main", T0_S * 1000, b'{"object":"page","entry":[]}'),
        block.Delivery("ig", T0_S * 1000 + 5, b""),
    ]
    plain = b"".join(
        struct.pack(">H", len(one.app)) + one.app.encode() + struct.pack(">QI", one.received_at_ms, len(one.body)) + one.body
        for one in deliveries
    )  # fmt: skip

    def unpacks(compressed: bytes) -> bool:
        return list(block.unpack(compressed, len(plain), len(deliveries))) == deliveries

    compressed = cast.recorded.get("a block", unpacks, lambda: block.pack(deliveries)[0])
    size, count = len(plain), len(deliveries)
    return {
        "about": "What the router finds in a raw record: zstd of, for each delivery, length 2 | app | received at 8 (Unix ms) | "
        "length 4 | body. mk_size and mk_count are sealed headers.",
        "good": [
            {
                "compressed": compressed.hex(),
                "plain": plain.hex(),
                "size": size,
                "count": count,
                "deliveries": [
                    {"app": one.app, "received_at_ms": one.received_at_ms, "body": one.body.hex()}
                    for one in deliveries
                ],
            }
        ],
        "refused": [
            {"because": why, "compressed": raw.hex(), "size": said, "count": said_count}
            for why, raw, said, said_count in (
                ("another size", compressed, size + 1, count),
                ("another size", compressed, size - 1, count),
                ("another count", compressed, size, count + 1),
                ("cut short", compressed[:-4], size, count),
                ("no zstd", b"not zstd", size, count),
                ("larger than 8 MiB", compressed, 8 * 1_048_576 + 1, count),
            )
        ],
    }


def control_records() -> Json:
    """`control.json`."""
    key = f"tenant/{ACME}".encode()
    value = (
        f'{{"kind":"tenant","tenant":"{ACME}","state":"ready","slot":"acmeslot23","partitions":1,'
        f'"schema_name":"t_acmeslot23"}}'
    ).encode()
    by = b"custodian"
    message = (
        b"mkchannels control v1\x00" + struct.pack(">H", len(by)) + by + struct.pack(">H", len(key)) + key + value
    )  # fmt: skip
    signature = SIGNERS["custodian"].sign(message)
    good = {"by": by.decode(), "key": key.hex(), "value": value.hex(), "sig": signature.hex()}
    as_router = message.replace(b"\x00\x09custodian", b"\x00\x06router")
    other_id = f"tenant/{UUID(int=1)}".encode()
    moved = (
        b"mkchannels control v1\x00\x00\x09custodian" + struct.pack(">H", len(other_id)) + other_id + value
    )
    return {
        "about": "Ed25519 over `mkchannels control v1` 00 | length 2 | by | length 2 | key | value; headers `by` and `sig`.",
        "pinned": ["custodian"],
        "good": [{**good, "message": message.hex()}],
        "refused": [
            {"because": "the value was changed", **good, "value": value.replace(b'"partitions":1', b'"partitions":8').hex()},
            {"because": "it stands under another key", **good, "key": other_id.hex()},
            {"because": "signed under another key than the value says", **good, "key": other_id.hex(),
             "sig": SIGNERS["custodian"].sign(moved).hex()},
            {"because": "the signature was changed", **good, "sig": (signature[:-1] + bytes([signature[-1] ^ 1])).hex()},
            {"because": "the signer is not pinned", **good, "by": "router", "sig": SIGNERS["router"].sign(as_router).hex()},
            {"because": "signed by somebody else", **good, "sig": SIGNERS["mallory"].sign(message).hex()},
        ],
    }  # fmt: skip
