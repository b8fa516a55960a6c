"""What is signed and not sealed beside control: fences, outcomes and the audit log's heads, on topics and kept in the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final
from uuid import UUID

from contracts import audit_checkpoints, fences, outcomes
from contracts.audit_checkpoints import Checkpoint
from contracts.fences import Fence
from contracts.headers import Headers
from contracts.merkle import Frontier, leaf_hash
from contracts.outcomes import Outcome, State
from contracts.signed_record import sign_record
from contracts.signing import SignerLookup
from contracts.vectors.cast import ACME, OTHER, SIGNERS
from contracts.vectors.records import RECORD_MS
from tests.security.formats.form import Form, Opening, Pieces, headers_of, with_headers
from tests.security.formats.records import KNOWN

REQUEST: Final = UUID(int=0x5555)
FENCE: Final = Fence(
    request=REQUEST,
    tenant=ACME,
    subject=UUID(int=0x6666),
    pseudonyms=("0a" * 16,),
    generation=3,
    watermark_s=RECORD_MS // 1000,
    executed_at_us=RECORD_MS * 1000,
    refs=("0b" * 16,),
)
OUTCOME: Final = Outcome(
    request=REQUEST,
    tenant=ACME,
    kind="subject",
    origin="operator",
    state=State.LIVE_ERASED,
    at_ms=RECORD_MS,
    requested_at_ms=RECORD_MS,
    received_at_ms=RECORD_MS,
)
Decode = Callable[[bytes, bytes, Headers, SignerLookup], Any]
Record = tuple[bytes, bytes, list[tuple[str, bytes]]]


def forms() -> Iterator[Form]:
    """Each as its topic has it, then as a database keeps it."""
    fence = fences.encode(FENCE, SIGNERS["erasure"])
    outcome = outcomes.encode(OUTCOME, SIGNERS["erasure"])
    head = _checkpoint(1)
    written = audit_checkpoints.encode(head, SIGNERS["erasure"])
    yield _record("fence", fence, fences.decode, OTHER.bytes, outcome)
    yield _record("outcome", outcome, outcomes.decode, UUID(int=0x7777).bytes, fence)
    yield _record("audit head", written, audit_checkpoints.decode, (2).to_bytes(8), outcome)
    yield _kept_fence(fence)
    yield _kept_head(head)


def _checkpoint(size: int) -> Checkpoint:
    tree, leaves = Frontier(), [leaf_hash(b"entry %d" % number) for number in range(size)]
    for leaf in leaves:
        tree.append(leaf)
    return audit_checkpoints.checkpoint_of(tree, leaves, RECORD_MS)


def _record(name: str, record: Record, decode: Decode, other_key: bytes, of_another_kind: Record) -> Form:
    key, value, headers = record

    def opened(key: bytes | None = None, missing: str = "") -> Opening:
        signers = {name: signer for name, signer in KNOWN.items() if name != missing}.get
        return lambda pieces: decode(key or pieces["key"], pieces["value"], headers_of(pieces), signers)

    def signed_by(process: str, purpose: bytes = b"mkchannels control v1") -> Opening:
        def open_(pieces: Pieces) -> Any:
            again = sign_record(purpose, pieces["key"], pieces["value"], SIGNERS[process])
            return decode(pieces["key"], pieces["value"], again, KNOWN.get)

        return open_

    def as_this(pieces: Pieces) -> Any:
        return decode(of_another_kind[0], of_another_kind[1], of_another_kind[2], KNOWN.get)

    return Form(
        name,
        with_headers(headers, key=key, value=value),
        opened(),
        {
            "under another's id": opened(key=other_key),
            "from a signer that was revoked": opened(missing="erasure"),
            "signed by its signer for something else": signed_by("erasure"),
            **{
                f"rightly signed by the {process}": signed_by(process, PURPOSES[name])
                for process in ("router", "store", "ingest", "custodian")
            },
            "a record of another kind": as_this,
        },
    )


PURPOSES: Final = {
    "fence": b"mkchannels fence v1",
    "outcome": b"mkchannels outcome v1",
    "audit head": b"mkchannels audit checkpoint v1",
}
"""What each signature begins with: a change of these is a new format."""


def _kept_fence(record: Record) -> Form:
    def opened(missing: str = "") -> Opening:
        signers = {name: signer for name, signer in KNOWN.items() if name != missing}.get

        def open_(pieces: Pieces) -> Any:
            key, value, headers = fences.kept(pieces["packed"])
            return fences.decode(key, value, headers, signers)

        return open_

    def with_anothers_signature(pieces: Pieces) -> Any:
        other = fences.encode(FENCE.model_copy(update={"tenant": OTHER}), SIGNERS["erasure"])
        return opened()({"packed": fences.keep(record[1], other[2])})

    return Form(
        "fence, as a database keeps it",
        {"packed": fences.keep(record[1], record[2])},
        opened(),
        {
            "from a signer that was revoked": opened(missing="erasure"),
            "with another fence's signature": with_anothers_signature,
        },
    )


def _kept_head(checkpoint: Checkpoint) -> Form:
    head = audit_checkpoints.sign(checkpoint, SIGNERS["erasure"])

    def opened(size: int = head.tree_size, missing: str = "") -> Opening:
        signers = {name: signer for name, signer in KNOWN.items() if name != missing}.get
        return lambda pieces: audit_checkpoints.kept(size, pieces["packed"], signers)

    return Form(
        "audit head, as a database keeps it",
        {"packed": head.packed},
        opened(),
        {"under another size": opened(size=2), "from a signer that was revoked": opened(missing="erasure")},
    )
