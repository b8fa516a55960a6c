"""What each record header says, for the documents: name, form, and when it is there.

`contracts.headers` owns the names; a test holds this table against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from contracts import control, erasure_requests
from contracts import headers as h

_HEX_16: Final = "^[0-9a-f]{32}$"
_UUID: Final = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
_DECIMAL: Final = "^[0-9]+$"


@dataclass(frozen=True, slots=True)
class Header:
    """One header. `pattern`: of its text (ASCII); None for bytes. `always`: every record of its kind carries it."""

    name: str
    meaning: str
    pattern: str | None = None
    always: bool = True


EVENT: Final = (
    Header(h.CE_SPECVERSION, "CloudEvents version, `1.0`.", "^1\\.0$"),
    Header(
        h.CE_ID, "The event's id, a UUIDv8: the same however often it arrives. De-duplicate by it.", _UUID
    ),
    Header(h.CE_SOURCE, "`/meta/<product>/<account id>`: account ids are companies' identifiers.", "^/.+$"),
    Header(h.CE_TYPE, "What happened.", "^[a-z_]+(\\.[a-z_]+)+$"),
    Header(
        h.CE_TIME,
        "When it happened by Meta's clock, RFC 3339 UTC with milliseconds; absent when Meta says no time.",
        "^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}\\.\\d{3}Z$",
        always=False,
    ),
    Header(h.CE_SUBJECT, "Hex pseudonym of the conversation: the record's key.", _HEX_16),
    Header(h.CE_TENANT, "Whose event it is.", _UUID),
    Header(
        h.CE_DATASCHEMA, "URN of the schema of `data`, with its version.", "^urn:mkchannels:event:.+:[0-9]+$"
    ),
    Header(h.CE_DATACONTENTTYPE, "Of the opened value.", "^application/json$"),
    Header(
        h.MK_PERSON,
        "Hex pseudonyms of every alias of the person, comma-separated, most specific first; empty when nobody is named.",
        "^([0-9a-f]{32}(,[0-9a-f]{32})*)?$",
    ),
    Header(h.MK_RECEIVED_AT, "Broker time of the raw record, Unix milliseconds.", _DECIMAL),
    Header(
        h.MK_REF,
        "Hex pseudonym of the message that the event is, edits, takes back or reports on; absent without a message id.",
        _HEX_16,
        always=False,
    ),
    Header(h.MK_ACCOUNT, "Our id of the account.", _UUID),
    Header(h.MK_DIRECTION, "`i` inbound, `o` outbound, `s` the system's.", "^[ios]$"),
)

NOTICE: Final = tuple(
    header
    for header in EVENT
    if header.name not in (h.CE_SUBJECT, h.MK_PERSON, h.MK_REF, h.MK_ACCOUNT, h.MK_DIRECTION)
)
"""Of `subject.erased`, which belongs to no conversation."""

RAW: Final = (
    Header(h.MK_COUNT, "Deliveries in the block.", _DECIMAL),
    Header(h.MK_SIZE, "Bytes of the block before compression: bounds the decompression.", _DECIMAL),
)

EPOCH: Final = (
    Header(h.EK_STATEMENT, "Who seals what for whom, from when to when."),
    Header(h.EK_KEY, "The epoch key, HPKE-sealed to the recipient (ML-KEM-768 with X25519)."),
    Header(h.EK_SIG, "Ed25519 signature of the sealer over statement and sealed key."),
)

ADDED: Final = (
    Header(h.Q_TOPIC, "Topic of the record that was set aside.", "^mk\\..+$"),
    Header(h.Q_PARTITION, "Its partition.", _DECIMAL),
    Header(h.Q_OFFSET, "Its offset.", _DECIMAL),
    Header(h.Q_RECEIVED_AT, "Broker time of the first raw record, Unix milliseconds.", _DECIMAL),
    Header(h.Q_ITEMS, "JSON list of [item path, reason]; an empty path is the whole record.", "^\\["),
    Header(h.Q_REPLAY, "How often the record was put back; three times at most.", "^[0-3]$"),
    Header(h.Q_BY, "Who added these facts.", "^[a-z_]+$"),
    Header(h.Q_SIG, "Ed25519 signature over the facts, the value and the original headers."),
)
"""On records in quarantine, and on those put back from it."""

CONTROL: Final = (
    # Records of the keys topics, too.
    Header(control.SIGNED_BY, "Who signed the record.", "^[a-z_]+$"),
    Header(control.SIGNATURE, "Ed25519 signature over signer, key and value."),
)

REQUEST: Final = (
    Header(erasure_requests.MK_REQUEST, "The request's id.", _UUID),
    Header(erasure_requests.MK_REQUEST_KIND, "What is to be erased.", "^[a-z_]+$"),
    Header(erasure_requests.MK_TENANT, "Whose request it is; absent from a callback.", _UUID, always=False),
)
