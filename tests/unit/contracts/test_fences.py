"""Fences as records: signed by erasure alone, and the same record again out of a database."""

from dataclasses import replace
from uuid import UUID

import pytest

from contracts.errors import TamperedRecord
from contracts.fences import Fence, decode, encode, keep, kept
from contracts.signing import RIGHTS_BY_PROCESS, KnownSigner, Signer

SIGNER = Signer.from_bytes("erasure", bytes(range(32)))
KNOWN = KnownSigner("erasure", SIGNER.public_raw, RIGHTS_BY_PROCESS["erasure"])
FENCE = Fence(
    request=UUID(int=1),
    tenant=UUID(int=2),
    subject=UUID(int=3),
    pseudonyms=("ab" * 16,),
    generation=2,
    watermark_s=1_700_000_000,
    executed_at_us=1_700_000_000_123_456,
    account=UUID(int=4),
)


def signers(name: str) -> KnownSigner | None:
    """Erasure only."""
    return KNOWN if name == "erasure" else None


def test_a_kept_fence_is_the_record_that_was_written() -> None:
    key, value, headers = encode(FENCE, SIGNER)
    assert kept(keep(value, headers)) == (key, value, headers)
    assert decode(*kept(keep(value, headers)), signers) == FENCE


@pytest.mark.parametrize("length", [0, 1, 8, 71, 90])
def test_kept_bytes_that_were_cut_are_no_record(length: int) -> None:
    _, value, headers = encode(FENCE, SIGNER)
    with pytest.raises(TamperedRecord):
        kept(keep(value, headers)[:length])


def test_a_fence_that_somebody_else_signed_is_refused() -> None:
    key, value, headers = encode(FENCE, Signer.from_bytes("erasure", bytes(32)))
    with pytest.raises(TamperedRecord):
        decode(key, value, headers, signers)


def test_a_signer_without_the_right_to_fence_is_refused() -> None:
    key, value, headers = encode(FENCE, SIGNER)
    router = replace(KNOWN, may=RIGHTS_BY_PROCESS["router"])
    with pytest.raises(TamperedRecord):
        decode(key, value, headers, lambda _name: router)


def test_a_fence_under_another_tenants_key_is_refused() -> None:
    _, value, headers = encode(FENCE, SIGNER)
    with pytest.raises(TamperedRecord):
        decode(UUID(int=9).bytes, value, headers, signers)
