"""What has no typed event yet: carried whole, never dropped. DESIGN.md section 5."""

from __future__ import annotations

from typing import Annotated

from contracts.events.declaration import UNKNOWN, Family, Moment, RetentionClass, Scope
from contracts.events.event import PUBLIC, Event, PublicText


class UnknownReceived(Event):
    """Something that Meta sent and that is not typed, or not of the shape its type asks for. All of it is in `fragment`."""

    provider_object: Annotated[str, PUBLIC]
    """Meta's `object`: page, instagram, whatsapp_business_account, permissions, user."""
    field: Annotated[str, PUBLIC]
    """Meta's name for it: the `field` of a change, the key of a messaging item, or the name of an unknown list."""
    collection: PublicText = None
    """The list inside the value that it came from (`calls`, `history`, `errors`, …)."""


TYPES = (
    Family(
        "keep what Meta sent about the company's account until the service understands it",
        RetentionClass.UNKNOWN,
        Scope.MESSAGING,
        occurred_at=Moment.VALUE,
        directions=("inbound", "outbound", "system"),
    ).declare(UNKNOWN, UnknownReceived, "any object: what no other type takes"),
)
