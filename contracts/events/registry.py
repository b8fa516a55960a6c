"""What an event type declares: without it no event of that type can exist. PRIVACY.md section 1, rows 2 and 8."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel


class RetentionClass(StrEnum):
    """How long events of a type are kept; days per class are the tenant's (default in `store.custody`)."""

    CONVERSATION = "conversation"
    DELIVERY = "delivery"
    PUBLIC_COMMENT = "public_comment"
    ACCOUNT = "account"
    UNKNOWN = "unknown"


class LegalBasis(StrEnum):
    """LGPD art. 7."""

    CONTRACT = "lgpd_7_v"
    LEGAL_OBLIGATION = "lgpd_7_ii"
    LEGITIMATE_INTEREST = "lgpd_7_ix"


@dataclass(frozen=True, slots=True)
class EventType:
    """One type of event.

    `opens_generation`: an inbound act of the person or a new outbound message, which may begin a new generation of an
    erased person; statuses, reads, reactions and edits never do (PRIVACY.md section 3). `scope`: the consent scope that
    covers it. `personal_fields`: dotted paths into `data`.
    """

    name: str
    version: int
    model: type[BaseModel]
    retention: RetentionClass
    purpose: str
    legal_basis: LegalBasis
    scope: str
    opens_generation: bool
    personal_fields: tuple[str, ...]

    @property
    def dataschema(self) -> str:
        """The `ce_dataschema` URN."""
        return f"urn:mkchannels:event:{self.name}:{self.version}"
