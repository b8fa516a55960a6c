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
