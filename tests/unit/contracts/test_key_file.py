"""The signed key file: read only if the pinned router signed it; fails closed past its keys' end."""

from __future__ import annotations

import os
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest

from contracts.errors import TamperedRecord
from contracts.hybrid import HybridPrivateKey
from contracts.key_file import RAW_KEYS, PublishedKey, current_key
from contracts.signing import KnownSigner, Right, Signer

ROUTER = Signer.from_bytes("router", os.urandom(32))
PINNED = KnownSigner("router", ROUTER.public_raw, frozenset({Right.SIGN_RAW_KEYS}))
NOW = datetime(2026, 11, 26, tzinfo=UTC)


def key(start_days: float, end_days: float) -> PublishedKey:
    return PublishedKey(
        public_key=b64encode(HybridPrivateKey.generate().public.raw),
        active_from=NOW + timedelta(days=start_days),
        seal_until=NOW + timedelta(days=end_days),
    )


def test_the_file_comes_back_as_the_router_wrote_it() -> None:
    keys = (key(0, 4), key(1, 5))
    assert RAW_KEYS.decode(RAW_KEYS.encode(keys, ROUTER), PINNED) == keys


def test_any_changed_byte_or_another_signer_is_refused() -> None:
    raw = RAW_KEYS.encode((key(0, 4),), ROUTER)
    with pytest.raises(TamperedRecord):
        RAW_KEYS.decode(RAW_KEYS.encode((key(0, 4),), Signer.from_bytes("router", os.urandom(32))), PINNED)
    for position in range(len(raw)):
        changed = bytearray(raw)
        changed[position] ^= 1
        with pytest.raises(TamperedRecord):
            RAW_KEYS.decode(bytes(changed), PINNED)


def test_the_youngest_active_key_is_taken_and_none_past_the_end() -> None:
    old, young = key(0, 4), key(1, 5)

    def chosen(days: float) -> bytes | None:
        found = current_key((old, young), NOW + timedelta(days=days))
        return found[0].raw if found else None

    assert chosen(-1) is None
    assert chosen(0.5) == old.public_key
    assert chosen(1.5) == young.public_key
    assert chosen(6) is None
