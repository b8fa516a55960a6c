"""A fence reaches its topic however long it is."""

from uuid import UUID

from contracts.fences import Fence, decode, encode, keep
from contracts.signing import RIGHTS_BY_PROCESS, KnownSigner, Signer
from store.erasure.telling.tell import _parts

ERASURE = Signer.from_bytes("erasure", b"e" * 32)
KNOWN = KnownSigner("erasure", ERASURE.public_raw, RIGHTS_BY_PROCESS["erasure"])


def test_a_fence_that_is_long_of_names_alone_is_not_lost() -> None:
    names = tuple(number.to_bytes(16).hex() for number in range(27_000))
    fence = Fence(
        request=UUID(int=1), tenant=UUID(int=2), subject=UUID(int=3), pseudonyms=names, generation=1,
        watermark_s=1, executed_at_us=1,
    )  # fmt: skip
    _, value, headers = encode(fence, ERASURE)
    parts = list(_parts(ERASURE, keep(value, headers)))
    assert [decode(*part, lambda _name: KNOWN) for part in parts] == [fence]


def test_all_refs_of_somebody_who_wrote_very_much_reach_the_topic() -> None:
    refs = tuple(number.to_bytes(16).hex() for number in range(30_000))
    fence = Fence(
        request=UUID(int=1), tenant=UUID(int=2), subject=UUID(int=3), pseudonyms=("00" * 16,), generation=1,
        watermark_s=1, executed_at_us=1, undated=refs[:25_000], refs=refs,
    )  # fmt: skip
    _, value, headers = encode(fence, ERASURE)
    parts = list(_parts(ERASURE, keep(value, headers)))
    read = [decode(*part, lambda _name: KNOWN) for part in parts]
    assert max(len(value) for _, value, _ in parts) < 1_000_000
    assert tuple(ref for part in read for ref in part.refs) == refs
    assert tuple(one for part in read for one in part.undated) == refs[:25_000]
    assert {part.model_copy(update={"refs": (), "undated": ()}) for part in read} == {
        fence.model_copy(update={"refs": (), "undated": ()})
    }


def test_a_fence_that_was_kept_under_another_key_is_told_under_the_present_one() -> None:
    fence = Fence(
        request=UUID(int=1), tenant=UUID(int=2), subject=UUID(int=3), generation=0, executed_at_us=1, refs=("00" * 16,)
    )  # fmt: skip
    _, value, headers = encode(fence, Signer.from_bytes("erasure", b"o" * 32))
    (part,) = _parts(ERASURE, keep(value, headers))
    assert decode(*part, lambda _name: KNOWN) == fence
