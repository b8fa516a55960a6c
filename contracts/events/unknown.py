"""What has no typed event yet: carried whole, never dropped. DESIGN.md section 5."""

from __future__ import annotations

from contracts.events.event import Event


class UnknownReceived(Event):
    """Something that Meta sent and that is not typed, or not of the shape its type asks for. All of it is in `fragment`."""

    provider_object: str
    """Meta's `object`: page, instagram, whatsapp_business_account, permissions, user."""
    field: str
    """Meta's name for it: the `field` of a change, the key of a messaging item, or the name of an unknown list."""
    collection: str | None = None
    """The list inside the value that it came from (`calls`, `history`, `errors`, …)."""
