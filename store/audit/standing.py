"""Whether erasure may go on signing this database's audit log: the entries must be those of the heads that it signed.

What the topic holds is the truth. Where it was lost, the heads that the database keeps take its place, by their
signatures only: whoever can write to the tables, and emptied the topic, must not get another log signed. Reads only; must
never sign, place or anchor anything.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from contracts.audit_checkpoints import Head, kept
from contracts.errors import TamperedRecord, TransientError
from contracts.merkle import Frontier, leaf_hash
from contracts.receipts import key_id
from contracts.signing import RIGHTS_BY_PROCESS, KnownSigner, SignerLookup
from store.audit.log import SQL, What
from store.audit.witness import Witness
from store.database import translated

if TYPE_CHECKING:
    from store.database import Connection

_PAGE: Final = 1_000
_SIGNER: Final = "erasure"


class LogDoubted(TransientError):
    """The audit log cannot be gone on with until somebody mended it, or accepted it. `reason`: one of `AUDIT_REFUSALS`."""

    code = "audit_log_doubted"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Standing:
    """`anchored`: the topic's largest head; `unanchored`: what was signed after it, in order, as it must be anchored."""

    anchored: Head | None
    unanchored: tuple[Head, ...]


async def stand(
    connection: Connection,
    anchored: Head | None,
    witness: Witness | None,
    signers: SignerLookup,
    earlier: Callable[[int], Awaitable[Head | None]],
) -> Standing:
    """What there is to go on from. `earlier`: the topic's head of that size. Raises LogDoubted or DatabaseUnavailable.

    `anchored` and `witness` must have been read before this is called.
    """
    with translated():
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            unanchored = await _signed_since(connection, anchored, signers)
            await _hold_entries(connection, anchored, unanchored)
    if witness is not None:
        # In no transaction: the topic holds years, and Postgres ends whoever keeps one open for as long as that takes to read.
        await _hold_witness(connection, witness, (anchored, *unanchored), signers, earlier)
    return Standing(anchored, unanchored)


async def _signed_since(
    connection: Connection, anchored: Head | None, signers: SignerLookup
) -> tuple[Head, ...]:
    tree = anchored.checkpoint.frontier() if anchored is not None else Frontier()
    heads = list[Head]()
    # A page at a time: after a lost topic these are all there are, and between pages other tasks go on.
    async for row in connection.cursor(SQL["heads_above"], tree.size, prefetch=_PAGE):
        head = _verified(row["tree_size"], row["signed"], row["key_id"], signers)
        if head.checkpoint.first_leaf != tree.size:
            raise LogDoubted("other_tree")
        for leaf in head.checkpoint.leaves:
            tree.append(bytes.fromhex(leaf))
        if tree.root().hex() != head.checkpoint.root:
            raise LogDoubted("other_tree")
        heads.append(head)
    return tuple(heads)


def _verified(tree_size: int, signed: bytes | None, key: str | None, signers: SignerLookup) -> Head:
    if signed is None:
        raise LogDoubted("no_head")
    try:
        return kept(tree_size, signed, signers)
    except TamperedRecord as exc:
        known = signers(_SIGNER)
        believed = () if known is None else (known.public_raw, *known.others)
        raise LogDoubted("unverified" if key in [key_id(raw) for raw in believed] else "other_key") from exc


def key_of(head: Head, signers: SignerLookup) -> str | None:
    """The id of that believed key of erasure's that signed it."""
    known = signers(_SIGNER)
    for raw in () if known is None else (known.public_raw, *known.others):
        alone = KnownSigner(_SIGNER, raw, RIGHTS_BY_PROCESS[_SIGNER])
        try:
            kept(head.tree_size, head.packed, {_SIGNER: alone}.get)
        except TamperedRecord:
            continue
        return key_id(raw)
    return None


async def _hold_entries(connection: Connection, anchored: Head | None, heads: tuple[Head, ...]) -> None:
    """Every entry that was placed since what is anchored must be the leaf that a signed head names, and none may lack.

    What a restored database had lost, by an entry of the tree itself, may lack.
    """
    first = anchored.tree_size if anchored is not None else 0
    leaves = [leaf for head in heads for leaf in head.checkpoint.leaves]
    missing, lost, at = set[int](), set[int](), first
    async for row in connection.cursor(SQL["placed_from"], first, prefetch=_PAGE):
        leaf, entry = row["leaf"], row["entry"]
        if leaf >= first + len(leaves):
            raise LogDoubted("no_head")
        if leaf_hash(entry).hex() != leaves[leaf - first]:
            raise LogDoubted("other_entries")
        missing.update(range(at, leaf))
        at = leaf + 1
        lost.update(_lost_by(entry))
    missing.update(range(at, first + len(leaves)))
    if not missing <= lost:
        raise LogDoubted("other_entries")


def _lost_by(entry: bytes) -> range:
    if What.LOG_RESTORED.value.encode() not in entry:
        return range(0)
    told = json.loads(entry)
    if told["what"] != What.LOG_RESTORED:
        return range(0)
    return range(told["numbers"]["first_leaf"], told["numbers"]["next_leaf"])


async def _hold_witness(
    connection: Connection,
    witness: Witness,
    newest: tuple[Head | None, ...],
    signers: SignerLookup,
    earlier: Callable[[int], Awaitable[Head | None]],
) -> None:
    """The tree that the newest receipt names must be one that this tree grew from, unless the log was accepted since."""
    size = max((head.tree_size for head in newest if head is not None), default=0)
    found = next((head for head in newest if head is not None and head.tree_size == witness.tree_size), None)
    if found is None and size > witness.tree_size:
        with translated():
            signed = await connection.fetchval(SQL["head_at"], witness.tree_size)
        try:
            found = None if signed is None else kept(witness.tree_size, signed, signers)
        except TamperedRecord:
            found = None
        found = found or await earlier(witness.tree_size)
    if found is not None and found.checkpoint.root == witness.root:
        return
    with translated():
        if await _accepted_since(connection, witness.at_ms, signers):
            return
    raise LogDoubted("older" if found is None else "other_tree")


async def _accepted_since(connection: Connection, at_ms: int, signers: SignerLookup) -> bool:
    """Whether a signed head holds an operator's acceptance that is younger."""
    for row in await connection.fetch(SQL["placed_of_kind"], What.LOG_ACCEPTED.value):
        above = await connection.fetchrow(SQL["heads_above"], row["leaf"])
        if above is None:
            continue
        over = _verified(above["tree_size"], above["signed"], above["key_id"], signers).checkpoint
        at = row["leaf"] - over.first_leaf
        if at < 0 or over.leaves[at] != leaf_hash(row["entry"]).hex():
            continue
        told = json.loads(row["entry"])
        if told["what"] == What.LOG_ACCEPTED and told["at_us"] > at_ms * 1000:
            return True
    return False
