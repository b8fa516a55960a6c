"""An anchor that is gone is no anchor: an emptied checkpoints topic does not verify."""

import json

from contracts import topics
from contracts.audit_checkpoints import Head, checkpoint_of, sign
from contracts.merkle import Frontier, leaf_hash
from contracts.signing import Signer
from store.audit.anchored import Anchored
from store.audit.examine import ANCHORED_WITHIN_US, Finding, Row, Wrong, examine

NOW_MS = 1_800_000_000_000
NOW_US = NOW_MS * 1000
KEPT_MS = 5 * 366 * topics.DAY_MS


def row(leaf: int | None, *, age_us: int) -> Row:
    return Row(100 + (leaf or 0), leaf, json.dumps({"at_us": NOW_US - age_us, "n": leaf}).encode())


def head(at_ms: int) -> Head:
    tree, leaf = Frontier(), leaf_hash(b"{}")
    tree.append(leaf)
    return sign(checkpoint_of(tree, [leaf], at_ms), Signer.from_bytes("erasure", b"e" * 32))


def test_entries_placed_long_ago_that_no_checkpoint_holds_are_named() -> None:
    old = [row(leaf, age_us=ANCHORED_WITHIN_US + 1) for leaf in range(3)]
    assert examine(old, [], NOW_US).findings == (Finding(Wrong.UNANCHORED, 0, 2, (100, 102)),)
    unreadable = Row(7, 0, b"not an entry")
    assert examine([unreadable], [], NOW_US).findings == (Finding(Wrong.UNANCHORED, 0, 0, (7, 7)),)


def test_what_was_placed_this_minute_or_has_no_place_yet_only_waits() -> None:
    young, unplaced = row(0, age_us=ANCHORED_WITHIN_US - 1), row(None, age_us=10 * ANCHORED_WITHIN_US)
    seen = examine([young, unplaced], [], NOW_US)
    assert (seen.findings, seen.waiting) == ((), 2)


def test_a_topic_whose_beginning_is_gone_before_its_time_says_so() -> None:
    assert Anchored((), 0, begins_at=5).lost_its_beginning(NOW_MS)
    assert Anchored((head(NOW_MS - topics.DAY_MS),), 0, begins_at=5).lost_its_beginning(NOW_MS)
    assert not Anchored((), 0, begins_at=0).lost_its_beginning(NOW_MS)
    assert not Anchored((head(NOW_MS - KEPT_MS),), 0, begins_at=5).lost_its_beginning(NOW_MS)
