"""The Merkle tree against RFC 6962's definition, computed by hand, and the certificate-transparency reference tree."""

import hashlib

import pytest

from contracts.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

ENTRIES = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243")] + [
    bytes(range(0x50, 0x58)),
    bytes(range(0x60, 0x70)),
]
"""The eight leaves of the certificate-transparency reference tests."""
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
LEAVES = [leaf_hash(entry) for entry in ENTRIES]


def sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def by_definition(entries: list[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, written from its words and not from the code."""
    if not entries:
        return sha()
    if len(entries) == 1:
        return sha(b"\x00", entries[0])
    k = 1
    while k * 2 < len(entries):
        k *= 2
    return sha(b"\x01", by_definition(entries[:k]), by_definition(entries[k:]))


def test_the_reference_trees_have_their_known_roots() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert [root_of(LEAVES[:size]).hex() for size in range(1, 9)] == list(ROOTS)


def test_the_tree_of_seven_is_put_together_as_the_rfcs_figure() -> None:
    a, b, c, d, e, f, j = LEAVES[:7]
    g, h, i = node_hash(a, b), node_hash(c, d), node_hash(e, f)
    k, m = node_hash(g, h), node_hash(i, j)
    assert node_hash(k, m).hex() == ROOTS[6]
    # Section 2.1.3's examples of audit paths and consistency proofs, by their letters.
    assert inclusion_proof(0, LEAVES[:7]) == [b, h, m]
    assert inclusion_proof(3, LEAVES[:7]) == [c, g, m]
    assert inclusion_proof(4, LEAVES[:7]) == [f, j, k]
    assert inclusion_proof(6, LEAVES[:7]) == [i, k]
    assert consistency_proof(3, LEAVES[:7]) == [c, d, g, m]
    assert consistency_proof(4, LEAVES[:7]) == [m]
    assert consistency_proof(6, LEAVES[:7]) == [i, j, k]


@pytest.mark.parametrize("size", range(1, 40))
def test_every_leaf_is_proven_and_no_other(size: int) -> None:
    entries = [number.to_bytes(2) for number in range(size)]
    leaves = [leaf_hash(entry) for entry in entries]
    root = by_definition(entries)
    assert root_of(leaves) == root
    for index in range(size):
        proof = inclusion_proof(index, leaves)
        assert verify_inclusion(leaves[index], index, size, proof, root)
        assert not verify_inclusion(leaf_hash(b"another"), index, size, proof, root)
        assert not verify_inclusion(leaves[index], index + 1, size, proof, root)
        assert not verify_inclusion(leaves[index], index, size, [*proof, bytes(32)], root)
        assert not proof or not verify_inclusion(leaves[index], index, size, proof[:-1], root)
    for old in range(1, size + 1):
        old_root, proof = by_definition(entries[:old]), consistency_proof(old, leaves)
        assert verify_consistency(old, size, old_root, root, proof)
        assert not verify_consistency(old, size, bytes(32), root, proof)
        assert not verify_consistency(old, size, old_root, bytes(32), proof)
        assert not verify_consistency(old, size, old_root, root, [*proof, bytes(32)])


def test_a_node_does_not_pass_for_a_leaf() -> None:
    left, right = LEAVES[:2]
    assert leaf_hash(left + right) != node_hash(left, right)


def test_a_frontier_goes_on_from_its_peaks_and_refuses_others() -> None:
    tree = Frontier()
    for leaf in LEAVES[:5]:
        tree.append(leaf)
    again = Frontier(tree.size, tree.peaks)
    for leaf in LEAVES[5:]:
        again.append(leaf)
    assert again.root().hex() == ROOTS[7]
    for size, peaks in ((5, tree.peaks[:1]), (4, tree.peaks), (5, (b"", b"")), (-1, ())):
        with pytest.raises(ValueError, match="peaks"):
            Frontier(size, peaks)
