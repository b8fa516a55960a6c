"""What is sent about the administrator who connected an app: `permissions` and `user`. META.md sections 5.2 and 7.

The id is app-scoped and names the tenant's administrator, never a customer: these items have no person.
"""

from __future__ import annotations

from router.split.compose import Place, unknown
from router.split.item import Item


def account_change(place: Place) -> Item:
    """One entry of `changes`; for `permissions` the verb may stand beside `field`, so the fragment is all of it."""
    return unknown(place)
