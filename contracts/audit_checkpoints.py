"""Checkpoints of the audit log on `mk.audit.checkpoints.v1`: its tree's signed heads, outside the database.

Each names the leaf hashes that came since the one before, so that of an entry that was edited, moved or removed one can
say which. Hashes, sizes and times only. PRIVACY.md section 5; RFC 6962.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contracts.canonical import canonical
from contracts.errors import TamperedRecord
from contracts.headers import Headers
from contracts.merkle import Frontier
from contracts.signed_record import pack, sign_record, unpack, verify_record
from contracts.signing import Right, Signer, SignerLookup

_PURPOSE: Final = b"mkchannels audit checkpoint v1"
MOST_LEAVES: Final = 1_000
"""Of one checkpoint: 64 characters each, far below the topic's largest record."""

HexHash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Checkpoint(BaseModel):
    """The head of the tree of the first `tree_size` entries."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    tree_size: int = Field(gt=0, lt=1 << 53)
    root: HexHash
    """MTH of RFC 6962 over all entries' canonical bytes."""
    leaves: tuple[HexHash, ...] = Field(min_length=1, max_length=MOST_LEAVES)
    """Leaf hashes of the entries since the checkpoint before."""
    peaks: tuple[HexHash, ...] = Field(max_length=64)
    """Roots of the full subtrees, the largest first: the tree goes on from them."""
    at_ms: int
    """Unix milliseconds: when it was signed."""

    @property
    def first_leaf(self) -> int:
        """The number of the first of `leaves`."""
        return self.tree_size - len(self.leaves)

    def frontier(self) -> Frontier:
        """The tree, ready to grow. Raises ValueError if the peaks are not those of the root."""
        tree = Frontier(self.tree_size, map(bytes.fromhex, self.peaks))
        if tree.root().hex() != self.root:
            raise ValueError("the peaks are not those of the root")
        return tree


@dataclass(frozen=True, slots=True)
class Head:
    """A checkpoint as it was signed. `packed`: value and signature in one (`contracts.signed_record.pack`)."""

    checkpoint: Checkpoint
    packed: bytes = field(repr=False)

    @property
    def tree_size(self) -> int:
        """Of its tree."""
        return self.checkpoint.tree_size

    def record(self) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
        """Key, value and headers of its Kafka record: the very bytes that were signed."""
        value, headers = unpack(self.packed)
        return self.tree_size.to_bytes(8), value, headers


def checkpoint_of(tree: Frontier, leaves: list[bytes], at_ms: int) -> Checkpoint:
    """The head of `tree`, to which `leaves` were added since the last one."""
    return Checkpoint(
        tree_size=tree.size,
        root=tree.root().hex(),
        leaves=tuple(leaf.hex() for leaf in leaves),
        peaks=tuple(peak.hex() for peak in tree.peaks),
        at_ms=at_ms,
    )


def encode(checkpoint: Checkpoint, signer: Signer) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Key (the tree's size, 8 bytes), value (canonical JSON) and headers of the Kafka record."""
    key, value = checkpoint.tree_size.to_bytes(8), canonical(checkpoint.model_dump(mode="json"))
    return key, value, sign_record(_PURPOSE, key, value, signer)


def sign(checkpoint: Checkpoint, signer: Signer) -> Head:
    """The head, signed."""
    _, value, headers = encode(checkpoint, signer)
    return Head(checkpoint, pack(value, headers))


def kept(tree_size: int, packed: bytes, signers: SignerLookup) -> Head:
    """A head that stands under `tree_size` in a database. Raises TamperedRecord unless erasure signed it."""
    value, headers = unpack(packed)
    return Head(decode(tree_size.to_bytes(8), value, tuple(headers), signers), packed)


def head_of(key: bytes, value: bytes, headers: Headers, signers: SignerLookup) -> Head:
    """A record of the topic. Raises TamperedRecord unless erasure signed it and it is a tree's head."""
    return Head(decode(key, value, headers, signers), pack(value, headers))


def decode(key: bytes, value: bytes, headers: Headers, signers: SignerLookup) -> Checkpoint:
    """Raises TamperedRecord unless erasure signed it and it is a tree's head."""
    verify_record(_PURPOSE, key, value, headers, signers, Right.SIGN_AUDIT)
    try:
        checkpoint = Checkpoint.model_validate_json(value)
        checkpoint.frontier()
    except ValidationError as exc:
        raise TamperedRecord("a checkpoint cannot be read") from exc
    except ValueError as exc:
        raise TamperedRecord("a checkpoint is no tree's head") from exc
    if checkpoint.tree_size.to_bytes(8) != key or checkpoint.first_leaf < 0:
        raise TamperedRecord("a checkpoint stands under another size")
    return checkpoint
