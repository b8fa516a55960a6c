"""`python -m contracts.vectors.make`: write the vectors; the same bytes every time, on every machine."""

from __future__ import annotations

import hashlib
import json
from typing import Final

from contracts.vectors import fields, grants, records
from contracts.vectors.cast import FOLDER, Cast, described
from contracts.vectors.wrong import wrong

Json = dict[str, object]
ABOUT_RECORDS: Final = (
    "One record each, read by a fresh reader that pins `tenant`. `reads` is what it gives, or the code of its error. "
    "`now_ms` null: the reader's clock says nothing. `needs_models`: a reader that does not know the types' shapes reads an event. "
    "Bytes are hex; `=…` stands for what `shared` has under that name."
)
SHARED_FROM: Final = 100
"""Hex digits from which a value is said once."""
ABOUT_ERASURE: Final = (
    "The records of one partition in their order, read by one reader that remembers what it was told."
)


def files() -> dict[str, Json]:
    """Every file's content by name."""
    cast = Cast()
    made: dict[str, Json] = {
        "keys.json": described(),
        "statement.json": fields.statements(cast),
        "hpke.json": fields.hpke(cast),
        "header_digest.json": fields.digests(),
        "pseudonym.json": fields.pseudonym_vectors(),
        "event_id.json": fields.event_ids(),
        "block.json": fields.blocks(cast),
        "q_facts.json": records.added_facts(cast),
        "control.json": fields.control_records(),
        "grant.json": grants.grant_keys(cast),
        "record.json": {
            "about": ABOUT_RECORDS,
            "good": [case.described() for case in records.good(cast)],
            "refused": [case.described() for case in wrong(cast)],
        },
        "erasure.json": {"about": ABOUT_ERASURE, "sequence": records.sequences(cast)},
    }
    for name in ("record.json", "erasure.json"):
        _share_long_values(made[name])
    return {**made, "recorded.json": dict(cast.recorded.used)}


def _share_long_values(content: Json) -> None:
    """Most records of a file carry the same sealed epoch keys: say each of them once."""
    shared: dict[str, str] = {}

    def short(text: str) -> str:
        if len(text) < SHARED_FROM:
            return text
        name = "=" + hashlib.sha256(text.encode()).hexdigest()[:8]
        shared[name] = text
        return name

    for group in ("good", "refused", "sequence"):
        for case in content.get(group, []):  # type: ignore[attr-defined]  # lists of cases
            case["value"] = short(case["value"])
            case["headers"] = [[header, short(value)] for header, value in case["headers"]]
    content["shared"] = shared


def rendered(content: Json) -> str:
    """As it is written."""
    return json.dumps(content, indent=1, ensure_ascii=True) + "\n"


def main() -> None:
    """Write them beside this module."""
    for name, content in files().items():
        (FOLDER / name).write_text(rendered(content))


if __name__ == "__main__":
    main()
