"""Wycheproof's attacks on primitives, run through our own functions: none comes out otherwise than the file says."""

from __future__ import annotations

from typing import Final

import pytest

from tests.security.vectors import cases
from tests.security.vectors.cases import FOLDER, Runner

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="there is no ../shared/vectors/wycheproof here")

NONCE = "our formats have a nonce of 12 bytes"
META = "a signature of Meta's has 32 bytes"
LONG = "our keys have at most 64 bytes"
THROUGH: Final[dict[str, tuple[str, Runner, dict[str, int]]]] = {
    "store.keys.cells.unwrap_key": ("aes_gcm", cases.aes_gcm, {"run": 197, NONCE: 119}),
    "ingest.signature.verify": ("hmac_sha256", cases.webhook_hmac, {"run": 87, META: 87}),
    "contracts.pseudonyms.KeyedHash": ("hmac_sha256", cases.keyed_hash, {"run": 168, LONG: 6}),
    "contracts.signing.KnownSigner": ("ed25519", cases.ed25519, {"run": 151}),
    "contracts.hybrid, X25519": ("x25519", cases.x25519, {"run": 518}),
    "contracts.hybrid, ML-KEM": ("mlkem_768", cases.mlkem, {"run": 193}),
    "HPKE by hand, HKDF": ("hkdf_sha256", cases.hkdf, {"run": 86}),
}
"""What takes the cases: the file, the runner, and how many are run and how many are not, for which reason."""


@pytest.mark.parametrize("ours", THROUGH)
def test_no_case_comes_out_otherwise_than_the_file_says(ours: str) -> None:
    name, runner, expected = THROUGH[ours]
    counts, wrong = cases.run(name, runner)
    assert dict(counts) == expected
    assert wrong == []


def test_of_1438_cases_at_least_1000_are_run_through_functions_of_ours() -> None:
    names = {name for name, _, _ in THROUGH.values()}
    assert sum(1 for name in names for _ in cases.cases(name)) == 1_438
    reached: dict[str, set[int]] = {}
    for ours, (name, runner, _) in THROUGH.items():
        if ours.startswith("HPKE by hand"):
            continue
        for case in cases.cases(name):
            if not isinstance(runner(case), str):
                reached.setdefault(name, set()).add(case["tcId"])
    assert {name: len(found) for name, found in reached.items()} == {
        "aes_gcm": 197,
        "hmac_sha256": 171,
        "ed25519": 151,
        "x25519": 518,
        "mlkem_768": 193,
    }
    assert sum(len(found) for found in reached.values()) == 1_230


def test_an_x25519_case_is_refused_exactly_where_its_shared_secret_is_zero() -> None:
    for case in cases.cases("x25519"):
        assert cases.x25519(case) is (case["shared"] != "00" * 32), case["tcId"]
