"""Holds the audit log's entries against the anchored checkpoints and says which were edited, moved, removed, inserted or cut.

Pure: rows and checkpoints in, findings out. Leaf numbers count from 0, as in the tree.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from contracts.audit_checkpoints import Checkpoint
from contracts.merkle import HASH_BYTES, Frontier, leaf_hash

ANCHORED_WITHIN_US: Final = 60_000_000
"""Normally it is less than a second; an erasure process that starts again anchors what it had placed."""


class Wrong(StrEnum):
    """What is wrong with entries or checkpoints."""

    EDITED = "edited"
    MOVED = "moved"
    """Entries stand at other places than the tree has them."""
    REMOVED = "removed"
    CUT = "cut"
    """The last entries of the tree are gone."""
    INSERTED = "inserted"
    DIFFERENT = "different"
    """Somewhere in this range: their own hashes were not anchored, and the tree's root is another."""
    FORKED = "forked"
    """Two checkpoints disagree about these entries."""
    UNANCHORED = "unanchored"
    """Placed long ago, and no checkpoint holds them: the topic was emptied, or lost its end."""


@dataclass(frozen=True, slots=True)
class Row:
    """One entry as the database has it."""

    id: int
    leaf: int | None
    entry: bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """`first` to `last`: leaf numbers, both included. `ids`: of the first and last row, if there are rows."""

    wrong: Wrong
    first: int
    last: int
    ids: tuple[int, int] | None = None
    by: int = 0
    """Of what was moved: how many places."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found. `anchored`: the size of the anchored tree; `waiting`: rows that have no place in it yet."""

    findings: tuple[Finding, ...]
    anchored: int
    root: bytes
    waiting: int


class _Expected:
    """The leaf hashes that the checkpoints say, 32 bytes each in one piece; None where none says."""

    def __init__(self, size: int) -> None:
        self._hashes = bytearray(size * HASH_BYTES)
        self._known = bytearray(size)
        self.size = size

    def __getitem__(self, leaf: int) -> bytes | None:
        if not self._known[leaf]:
            return None
        return bytes(self._hashes[leaf * HASH_BYTES : (leaf + 1) * HASH_BYTES])

    def put(self, leaf: int, digest: bytes) -> None:
        self._hashes[leaf * HASH_BYTES : (leaf + 1) * HASH_BYTES] = digest
        self._known[leaf] = 1

    def places(self) -> dict[bytes, int]:
        """Leaf by hash."""
        return {digest: leaf for leaf in range(self.size) if (digest := self[leaf]) is not None}


def examine(rows: Iterable[Row], checkpoints: Sequence[Checkpoint], now_us: int | None = None) -> Examined:
    """`rows` in any order; `checkpoints` as they were anchored, of which some may be missing or double.

    `now_us`: Unix microseconds at which placed entries older than `ANCHORED_WITHIN_US` must be anchored; None: not judged.
    """
    size = max((checkpoint.tree_size for checkpoint in checkpoints), default=0)
    expected, findings = _expected(checkpoints, size)
    found: dict[int, Row] = {}
    surplus: list[Row] = []
    beyond: list[Row] = []
    waiting = 0
    for row in rows:
        if row.leaf is None:
            waiting += 1
        elif row.leaf >= size:
            beyond.append(row)
        elif row.leaf in found:
            surplus.append(row)
        else:
            found[row.leaf] = row
    findings += _held_against(found, surplus, beyond, expected)
    if now_us is not None:
        moved = {finding.ids for finding in findings if finding.wrong is Wrong.MOVED}
        findings += [
            Finding(Wrong.UNANCHORED, row.leaf, row.leaf, (row.id, row.id))
            for row in beyond
            if row.leaf is not None
            and (row.id, row.id) not in moved
            and _appended_us(row.entry) < now_us - ANCHORED_WITHIN_US
        ]
    tree = Frontier()
    heads = {checkpoint.tree_size: checkpoint for checkpoint in checkpoints}
    good = 0
    for leaf in range(size):
        digest = expected[leaf]
        tree.append(digest if digest is not None else leaf_hash(found[leaf].entry) if leaf in found else b"")
        head = heads.get(tree.size)
        if head is None:
            continue
        if tree.root().hex() != head.root:
            findings.append(Finding(Wrong.DIFFERENT, good, leaf))
            # What comes after it is judged from its own head on.
            tree = head.frontier()
        good = tree.size
    return Examined(_joined(findings), size, tree.root(), waiting + len(beyond))


def _appended_us(entry: bytes) -> int:
    """When the database says that it was appended; 0, as old as can be, where that cannot be read."""
    try:
        return int(json.loads(entry)["at_us"])
    except (ValueError, KeyError, TypeError):
        return 0


def _expected(checkpoints: Sequence[Checkpoint], size: int) -> tuple[_Expected, list[Finding]]:
    expected, findings = _Expected(size), []
    for checkpoint in checkpoints:
        for leaf, text in enumerate(checkpoint.leaves, checkpoint.first_leaf):
            digest, known = bytes.fromhex(text), expected[leaf]
            if known is None:
                expected.put(leaf, digest)
            elif known != digest:
                findings.append(Finding(Wrong.FORKED, leaf, leaf))
    return expected, findings


def _held_against(
    found: dict[int, Row], surplus: list[Row], beyond: list[Row], expected: _Expected
) -> list[Finding]:
    findings = [Finding(Wrong.INSERTED, row.leaf or 0, row.leaf or 0, (row.id, row.id)) for row in surplus]
    wrong = {
        leaf: row
        for leaf, row in found.items()
        if expected[leaf] is not None and leaf_hash(row.entry) != expected[leaf]
    }
    if not wrong and not surplus and len(found) == expected.size:
        return findings
    places = expected.places()
    hashes = {leaf: leaf_hash(row.entry) for leaf, row in wrong.items()}
    elsewhere = {places[digest] for digest in hashes.values() if digest in places}
    for row in beyond:
        # Pushed out at the end: not a new entry, but one of the tree's at another place.
        at = places.get(leaf_hash(row.entry))
        if at is not None and (at not in found or at in wrong) and row.leaf is not None:
            elsewhere.add(at)
            findings.append(Finding(Wrong.MOVED, at, at, (row.id, row.id), row.leaf - at))
    for leaf, row in sorted(wrong.items()):
        ids, at = (row.id, row.id), places.get(hashes[leaf])
        if at is not None:
            findings.append(Finding(Wrong.MOVED, leaf, leaf, ids, leaf - at))
        elif leaf in elsewhere:
            findings.append(Finding(Wrong.INSERTED, leaf, leaf, ids))
        else:
            findings.append(Finding(Wrong.EDITED, leaf, leaf, ids))
    # A place is empty, or holds a moved entry: its own is gone unless it stands elsewhere or was edited here.
    gone = [leaf for leaf in range(expected.size) if leaf not in found and leaf not in elsewhere]
    gone += [
        leaf
        for leaf, row in wrong.items()
        if hashes[leaf] in places and leaf not in elsewhere and row.leaf == leaf
    ]
    return findings + _missing(sorted(gone), expected.size)


def _missing(gone: list[int], size: int) -> list[Finding]:
    tail = size
    while gone and gone[-1] == tail - 1:
        tail = gone.pop()
    findings = [Finding(Wrong.REMOVED, leaf, leaf) for leaf in gone]
    return [*findings, *([Finding(Wrong.CUT, tail, size - 1)] if tail < size else [])]


def _joined(findings: list[Finding]) -> tuple[Finding, ...]:
    """Neighbours with the same finding as one."""
    joined: list[Finding] = []
    for finding in sorted(findings, key=lambda one: (_ORDER[one.wrong], one.by, one.first)):
        last = joined[-1] if joined else None
        if (
            last is not None
            and (last.wrong, last.by, last.last + 1) == (finding.wrong, finding.by, finding.first)
            and (last.ids is None) == (finding.ids is None)
        ):
            ids = (last.ids[0], finding.ids[1]) if last.ids and finding.ids else None
            joined[-1] = Finding(last.wrong, last.first, finding.last, ids, last.by)
        else:
            joined.append(finding)
    return tuple(sorted(joined, key=lambda one: (one.first, _ORDER[one.wrong])))


_ORDER: Final = {wrong: place for place, wrong in enumerate(Wrong)}
