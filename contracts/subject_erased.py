"""`subject.erased`: erasure tells every reader of a tenant which pseudonyms to forget.

One record on every partition of the tenant's topic, sealed to the tenant, signed by erasure's own key; only a signer
with `announce.erasure` may say it, and such a signer may say nothing else (DESIGN.md section 5). A reader acknowledges it
by committing past it. Must never hold a plain identifier, nor whose request it was.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict, Field

from contracts import headers as h

SUBJECT_ERASED: Final = "subject.erased"
VERSION: Final = 1
DATASCHEMA: Final = f"urn:mkchannels:event:{SUBJECT_ERASED}:{VERSION}"
SOURCE: Final = "/mkchannels/erasure"
_ID_NAMESPACE: Final = UUID("5b7c1f0e-3f2d-5c58-9f61-0d7f2f5f4c3a")

HexPseudonym = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class SubjectErased(BaseModel):
    """Forget what you hold of these pseudonyms from up to then. The sealed JSON value; additions are ignored.

    An event that names one of `pseudonyms` is of the erased person's past, and stays unread, if its second is not after
    `watermark_s` (Unix seconds) or if it was first received no later than `executed_at_ms` (Unix milliseconds). What is
    newer is the person's return and reads as usual (PRIVACY.md section 3).
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    request: UUID
    tenant: UUID
    pseudonyms: tuple[HexPseudonym, ...] = Field(min_length=1, repr=False)
    """Every pseudonym of the person, lower-case hex, sorted."""
    watermark_s: int
    executed_at_ms: int

    @property
    def notice_id(self) -> UUID:
        """The `ce_id`: the same on every partition and at every repetition; a request may name several people."""
        return uuid5(_ID_NAMESPACE, f"{self.request}/{','.join(sorted(self.pseudonyms))}")


def announcement(erased: SubjectErased) -> tuple[bytes, list[tuple[str, bytes]], bytes]:
    """Key, headers and plaintext of the record, not yet sealed. The key is the request id's 16 bytes."""
    executed = datetime.fromtimestamp(erased.executed_at_ms / 1000, UTC)
    headers = [
        (h.CE_DATACONTENTTYPE, b"application/json"),
        (h.CE_DATASCHEMA, DATASCHEMA.encode()),
        (h.CE_ID, str(erased.notice_id).encode()),
        (h.CE_SOURCE, SOURCE.encode()),
        (h.CE_SPECVERSION, b"1.0"),
        (h.CE_TENANT, str(erased.tenant).encode()),
        (h.CE_TIME, executed.isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()),
        (h.CE_TYPE, SUBJECT_ERASED.encode()),
        (h.MK_RECEIVED_AT, b"%d" % erased.executed_at_ms),
    ]
    return erased.request.bytes, headers, erased.model_dump_json().encode()
