"""Whatever is done to the audit log's rows, the anchored checkpoints show it, and which entries it was done to."""

from collections.abc import Callable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from contracts.audit_checkpoints import Checkpoint, checkpoint_of
from contracts.merkle import Frontier, leaf_hash
from store.audit.examine import Row, Wrong, examine

Log = tuple[list[Row], list[Checkpoint]]
Mutation = Callable[[list[Row], st.DataObject], tuple[list[Row], int]]


@st.composite
def logs(draw: st.DrawFn) -> Log:
    """1 to 40 distinct entries in random checkpoints, all anchored."""
    sizes = draw(st.lists(st.integers(1, 8), min_size=1, max_size=5))
    rows: list[Row] = []
    tree, checkpoints = Frontier(), []
    for size in sizes:
        leaves = []
        for _ in range(size):
            entry = b'{"n":%d}' % tree.size
            rows.append(Row(tree.size * 3 + 1, tree.size, entry))
            leaves.append(leaf_hash(entry))
            tree.append(leaves[-1])
        checkpoints.append(checkpoint_of(tree, leaves, 0))
    return rows, checkpoints


def edited(rows: list[Row], data: st.DataObject) -> tuple[list[Row], int]:
    at = data.draw(st.integers(0, len(rows) - 1))
    byte = data.draw(st.integers(0, len(rows[at].entry) - 1))
    entry = bytearray(rows[at].entry)
    entry[byte] ^= data.draw(st.integers(128, 255))
    return [*rows[:at], replace(rows[at], entry=bytes(entry)), *rows[at + 1 :]], at


def removed(rows: list[Row], data: st.DataObject) -> tuple[list[Row], int]:
    at = data.draw(st.integers(0, len(rows) - 1))
    return [*rows[:at], *rows[at + 1 :]], at


def removed_and_closed_up(rows: list[Row], data: st.DataObject) -> tuple[list[Row], int]:
    at = data.draw(st.integers(0, len(rows) - 1))
    return [*rows[:at], *(replace(row, leaf=(row.leaf or 0) - 1) for row in rows[at + 1 :])], at


def inserted(rows: list[Row], data: st.DataObject) -> tuple[list[Row], int]:
    at = data.draw(st.integers(0, len(rows) - 1))
    new = Row(2, at, b'{"n":"new"}')
    return [*rows[:at], new, *(replace(row, leaf=(row.leaf or 0) + 1) for row in rows[at:])], at


def cut(rows: list[Row], data: st.DataObject) -> tuple[list[Row], int]:
    at = data.draw(st.integers(0, len(rows) - 1))
    return rows[:at], at


def unplaced(rows: list[Row], data: st.DataObject) -> tuple[list[Row], int]:
    at = data.draw(st.integers(0, len(rows) - 1))
    return [*rows[:at], *(replace(row, leaf=None) for row in rows[at:])], at


EXPECTED = {
    edited: Wrong.EDITED,
    removed: Wrong.REMOVED,
    removed_and_closed_up: Wrong.REMOVED,
    inserted: Wrong.INSERTED,
    cut: Wrong.CUT,
    unplaced: Wrong.CUT,
}


@given(logs())
def test_an_untouched_log_has_no_findings(log: Log) -> None:
    rows, checkpoints = log
    seen = examine(reversed(rows), [*checkpoints, checkpoints[0]])
    assert seen.findings == ()
    assert (seen.anchored, seen.root.hex(), seen.waiting) == (len(rows), checkpoints[-1].root, 0)


@given(logs(), st.sampled_from(list(EXPECTED)), st.data())
def test_every_change_is_found_and_named(log: Log, mutate: Mutation, data: st.DataObject) -> None:
    rows, checkpoints = log
    changed, at = mutate(rows, data)
    wanted = EXPECTED[mutate]  # type: ignore[index]
    if wanted is Wrong.REMOVED and at == len(rows) - 1:
        wanted = Wrong.CUT
    findings = examine(changed, checkpoints).findings
    assert any(one.wrong is wanted and one.first <= at <= one.last for one in findings), findings


@given(logs().filter(lambda log: len(log[0]) > 1), st.data())
def test_two_entries_that_changed_places_are_both_named(log: Log, data: st.DataObject) -> None:
    rows, checkpoints = log
    first, second = sorted(
        data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=2, max_size=2, unique=True))
    )
    changed = list(rows)
    changed[first] = replace(rows[first], entry=rows[second].entry)
    changed[second] = replace(rows[second], entry=rows[first].entry)
    moved = {
        (one.first, one.by) for one in examine(changed, checkpoints).findings if one.wrong is Wrong.MOVED
    }
    assert moved == {(first, first - second), (second, second - first)}


@given(logs().filter(lambda log: len(log[1]) > 1), st.sampled_from([edited, removed]), st.data())
def test_without_the_anchored_hashes_the_next_root_still_shows_it(
    log: Log, mutate: Mutation, data: st.DataObject
) -> None:
    # The oldest checkpoints have left the topic: only the newest is there.
    rows, checkpoints = log
    changed, at = mutate(rows, data)
    findings = examine(changed, checkpoints[-1:]).findings
    assert any(one.first <= at <= one.last for one in findings), findings
    assert examine(rows, checkpoints[-1:]).findings == ()


@given(logs())
def test_a_second_tree_over_the_same_leaves_is_a_fork(log: Log) -> None:
    rows, checkpoints = log
    tree, other = Frontier(), leaf_hash(b"other")
    tree.append(other)
    findings = examine(rows, [*checkpoints, checkpoint_of(tree, [other], 0)]).findings
    assert Wrong.FORKED in {one.wrong for one in findings}


@given(logs())
def test_entries_without_a_place_wait_and_are_no_finding(log: Log) -> None:
    rows, checkpoints = log
    seen = examine([*rows, Row(1000, None, b"{}"), Row(1001, len(rows), b"{}")], checkpoints)
    assert (seen.findings, seen.waiting) == ((), 2)
