"""Finds an item's tenant, per item and never per request; judges consent, scope and time. Pure: the view is an argument.

An answer that control may still change (`settled` False) is asked again once control has been read to an end offset
requested after the record was fetched (DESIGN.md section 4.5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from contracts.control import AccountRecord, ControlView, IdKind, TenantRecord, app_scoped_user_hash
from contracts.ledger import Refusal
from router.split.item import AccountKey, Item

DAY_MS: Final = 86_400_000
OLDEST_MS: Final = 190 * DAY_MS
FUTURE_MS: Final = 5 * 60_000
ACCOUNTS_KEPT: Final = 4_096
TEST_ID: Final = "0"
"""Meta's dashboard sends test events under this id (META.md section 5.1)."""


@dataclass(frozen=True, slots=True)
class Destination:
    """The item goes to this tenant, under this account."""

    tenant: TenantRecord
    account: AccountRecord


@dataclass(frozen=True, slots=True)
class Refused:
    """The item is counted and not kept."""

    reason: Refusal
    tenant: UUID | None = None
    settled: bool = True


@dataclass(frozen=True, slots=True)
class SetAside:
    """The item goes to quarantine."""

    reason: str
    tenant: UUID | None = None
    settled: bool = True


Resolution = Destination | Refused | SetAside


@dataclass(frozen=True, slots=True)
class _Standing:
    """An account that may be processed: what is left to judge is the item's scope and time."""

    destination: Destination
    scopes: frozenset[str]
    outside: Refused
    late: SetAside


class Resolver:
    """Resolves items by one view, and keeps how each account stands until control says something new."""

    def __init__(
        self, view: ControlView, scope_of: Callable[[Item], str], routing_key: Callable[[], bytes]
    ) -> None:
        """`scope_of`: the consent scope that an item needs. `routing_key`: asked for when an id must be hashed."""
        self._view, self._scope_of, self._routing_key = view, scope_of, routing_key
        self._changes = view.changes
        self._kept: dict[AccountKey, _Standing] = {}

    def resolve(self, item: Item, app: str, received_at_ms: int) -> Resolution:
        """Where the item goes. `received_at_ms`: broker time of the raw record."""
        view = self._view
        if self._changes != view.changes:
            self._changes = view.changes
            self._kept.clear()
        key = item.account
        kept = None if key is None else self._kept.get(key)
        if kept is None:
            standing = _standing(key, app, view, self._routing_key)
            if not isinstance(standing, _Standing):
                return standing
            kept = standing
            # An administrator's id is another one for each app.
            if key is not None and key.kind is not IdKind.APP_SCOPED_USER:
                if len(self._kept) >= ACCOUNTS_KEPT:
                    self._kept.clear()
                self._kept[key] = kept
        if self._scope_of(item) not in kept.scopes:
            return kept.outside
        return kept.destination if in_window(item.occurred_at_ms, received_at_ms) else kept.late


def _standing(
    key: AccountKey | None, app: str, view: ControlView, routing_key: Callable[[], bytes]
) -> _Standing | Resolution:
    if key is None:
        return SetAside("unroutable")
    if TEST_ID in (key.value, key.waba):
        return Refused(Refusal.TEST_EVENT)
    found = _account(key, app, view, routing_key)
    if not isinstance(found, AccountRecord):
        return found
    tenant = view.tenants.get(found.tenant)
    if tenant is None:
        return Refused(Refusal.UNKNOWN_ACCOUNT, settled=False)
    if found.consent.state != "active" or tenant.state == "leaving":
        return Refused(Refusal.NO_CONSENT, found.tenant, settled=False)
    return _Standing(
        Destination(tenant, found),
        found.consent.scopes,
        Refused(Refusal.OUTSIDE_SCOPE, found.tenant),
        SetAside("time_out_of_range", found.tenant),
    )


def in_window(occurred_at_ms: int | None, received_at_ms: int) -> bool:
    """True for an undated item and for one of -190 days .. +5 minutes of the broker's time."""
    return occurred_at_ms is None or (
        received_at_ms - OLDEST_MS <= occurred_at_ms <= received_at_ms + FUTURE_MS
    )


def _account(
    key: AccountKey, app: str, view: ControlView, routing_key: Callable[[], bytes]
) -> AccountRecord | Resolution:
    value = key.value
    if key.kind is IdKind.APP_SCOPED_USER:
        value = app_scoped_user_hash(routing_key(), app, value)
    found = view.accounts_named(key.kind, value)
    if not found:
        return Refused(Refusal.UNKNOWN_ACCOUNT, settled=False)
    if key.waba is not None and key.kind is IdKind.PHONE_NUMBER:
        # A number can move to another WABA: the tenant is bound to both ids (META.md section 5.2).
        owning = tuple(
            account
            for account in found
            if any(one.kind is IdKind.WABA and one.value == key.waba for one in account.ids)
        )
        if not owning:
            return SetAside("account_mismatch", found[0].tenant, settled=False)
        found = owning
    if len(found) == 1:
        return found[0]
    if len({account.tenant for account in found}) > 1:
        return SetAside("unroutable", settled=False)
    return min(found, key=lambda account: account.account)
