"""What is sent about the administrator who connected an app: `permissions` and `user`. META.md sections 5.2 and 7.

The id is app-scoped and names the tenant's administrator, never a customer: these items have no person.
"""

from __future__ import annotations

from typing import Any, Final

from router.split.compose import Place, compose
from router.split.identity import NOBODY
from router.split.item import Item
from router.split.reading import as_ids, as_object, as_text
from router.split.times import time_ms

_VERBS: Final = {
    "granted": "permission.granted",
    "revoked": "permission.revoked",
    "removed": "permission.revoked",
    "remove": "permission.revoked",
    "delete": "permission.revoked",
    "deleted": "permission.revoked",
}


def account_change(place: Place) -> Item:
    """One entry of `changes`; for `permissions` the verb may stand beside `field`, so the fragment is all of it."""
    change = place.fragment
    value = as_object(change.get("value"))
    verb = as_text(change.get("verb")) or as_text(value.get("verb"))
    if place.provider_object == "permissions":
        part: dict[str, Any] = {"name": place.field}
        if verb is not None:
            part["verb"] = verb
        targets = as_ids(value.get("target_ids"))
        if targets is not None:
            part["targets"] = targets
        return _system(place, _VERBS.get((verb or "").lower(), "permission.changed"), part)
    return _profile(place, [place.field], verb, change.get("value"))


def fields_changed(place: Place, names: object) -> Item:
    """`changed_fields`: what an app gets that did not ask for values. META.md section 5.1."""
    return _system(place, "profile.changed", {"names": names})


def page_profile(place: Place) -> Item:
    """A field of a Page's profile."""
    return _profile(place, [place.field], as_text(place.fragment.get("verb")), place.fragment.get("value"))


def _profile(place: Place, names: list[str], verb: str | None, value: object) -> Item:
    part: dict[str, Any] = {"names": names}
    if verb is not None:
        part["verb"] = verb
    if value is not None:
        part["value"] = value
    return _system(place, "profile.changed", part)


def _system(place: Place, event_type: str, part: dict[str, Any]) -> Item:
    value = as_object(place.fragment.get("value"))
    return compose(
        place,
        event_type,
        part,
        person=NOBODY,
        direction="system",
        occurred_at_ms=time_ms(value.get("timestamp")),
    )
