"""Whose an item is, per item, and what is refused or set aside."""

import pytest

from contracts.control import IdKind, app_scoped_user_hash
from contracts.ledger import Refusal
from router.resolve import FUTURE_MS, OLDEST_MS, Destination, Refused, Resolver, SetAside, in_window
from router.split.item import AccountKey, Item
from tests.unit.router.scene import (
    NOW_MS,
    NUMBER,
    OTHER,
    PAGE,
    ROUTING_KEY,
    TENANT,
    account,
    announce,
    item,
    tenant,
    view,
)

WABA, PHONE = (IdKind.WABA, "4001"), (IdKind.PHONE_NUMBER, "5001")
OF_PAGE = account([(IdKind.PAGE, "7001")])


def ask(one: Item, *records: object, app: str = "main") -> object:
    """Resolve with the scope that messages need."""
    known = view(*records)  # type: ignore[arg-type]
    return Resolver(known, lambda _item: "messaging", lambda: ROUTING_KEY).resolve(one, app, NOW_MS)


def test_an_item_goes_to_the_tenant_of_its_account() -> None:
    found = ask(item(), tenant(), OF_PAGE)
    assert found == Destination(tenant(), OF_PAGE)


def test_a_paused_tenant_is_not_refused() -> None:
    assert isinstance(ask(item(), tenant(state="paused"), OF_PAGE), Destination)


def test_an_unknown_account_is_refused_but_control_may_still_change_that() -> None:
    assert ask(item(), tenant()) == Refused(Refusal.UNKNOWN_ACCOUNT, settled=False)


def test_an_account_whose_tenant_is_not_ready_is_unknown() -> None:
    assert ask(item(), OF_PAGE) == Refused(Refusal.UNKNOWN_ACCOUNT, settled=False)


def test_withdrawn_consent_is_refused_but_control_may_still_change_that() -> None:
    withdrawn = account([(IdKind.PAGE, "7001")], consent="withdrawn")
    assert ask(item(), tenant(), withdrawn) == Refused(Refusal.NO_CONSENT, TENANT, settled=False)


def test_a_scope_that_consent_does_not_cover_is_refused() -> None:
    narrow = account([(IdKind.PAGE, "7001")], scopes=("comments",))
    assert ask(item(), tenant(), narrow) == Refused(Refusal.OUTSIDE_SCOPE, TENANT)


@pytest.mark.parametrize(
    "key", [AccountKey(IdKind.PAGE, "0"), AccountKey(IdKind.PHONE_NUMBER, "123", waba="0")]
)
def test_a_dashboard_test_event_has_no_tenant(key: AccountKey) -> None:
    assert ask(item(key), tenant()) == Refused(Refusal.TEST_EVENT)


def test_a_number_must_belong_to_the_waba_that_names_it() -> None:
    both = account([WABA, PHONE], product="whatsapp")
    assert isinstance(ask(item(NUMBER), tenant(), both), Destination)
    elsewhere = account([(IdKind.WABA, "4002"), PHONE], product="whatsapp")
    assert ask(item(NUMBER), tenant(), elsewhere) == SetAside("account_mismatch", TENANT, settled=False)


def test_an_item_of_a_waba_goes_to_the_first_of_one_tenants_accounts() -> None:
    accounts = [account([WABA, (IdKind.PHONE_NUMBER, name)], name=name) for name in ("1", "2", "3")]
    key = AccountKey(IdKind.WABA, "4001")
    first = min(accounts, key=lambda one: one.account)
    for order in (accounts, accounts[::-1]):
        assert ask(item(key), tenant(), *order) == Destination(tenant(), first)


def test_an_item_that_two_tenants_could_claim_goes_to_neither() -> None:
    theirs = account([WABA], of=OTHER, name="b")
    found = ask(item(AccountKey(IdKind.WABA, "4001")), tenant(), tenant(OTHER), account([WABA]), theirs)
    assert found == SetAside("unroutable", settled=False)


def test_an_item_without_an_account_is_unroutable() -> None:
    assert ask(item(None), tenant()) == SetAside("unroutable")


def test_an_administrator_is_found_by_the_keyed_hash_of_the_deliverys_own_app() -> None:
    hashed = app_scoped_user_hash(ROUTING_KEY, "main", "31")
    known = account([(IdKind.PAGE, "7001"), (IdKind.APP_SCOPED_USER, hashed)])
    key = AccountKey(IdKind.APP_SCOPED_USER, "31")
    assert isinstance(ask(item(key), tenant(), known), Destination)
    assert isinstance(ask(item(key), tenant(), known, app="other"), Refused)
    plain = account([(IdKind.APP_SCOPED_USER, "31")])
    assert isinstance(ask(item(key), tenant(), plain), Refused)


@pytest.mark.parametrize(
    ("occurred_at_ms", "inside"),
    [
        (None, True),
        (NOW_MS - OLDEST_MS, True),
        (NOW_MS - OLDEST_MS - 1, False),
        (NOW_MS + FUTURE_MS, True),
        (NOW_MS + FUTURE_MS + 1, False),
    ],
)
def test_the_time_window_is_judged_against_the_brokers_time(occurred_at_ms: int | None, inside: bool) -> None:
    assert in_window(occurred_at_ms, NOW_MS) is inside
    found = ask(item(PAGE, occurred_at_ms=occurred_at_ms), tenant(), OF_PAGE)
    assert isinstance(found, Destination) is inside
    if not inside:
        assert found == SetAside("time_out_of_range", TENANT)


def test_what_is_refused_is_not_kept_for_being_old() -> None:
    """An item of nobody we know must not lie in quarantine."""
    assert isinstance(ask(item(occurred_at_ms=0), tenant()), Refused)


def test_how_an_account_stands_is_kept_only_until_control_says_something_new() -> None:
    known = view(tenant(), OF_PAGE)
    resolver = Resolver(known, lambda _item: "messaging", lambda: ROUTING_KEY)
    for _ in range(2):
        assert resolver.resolve(item(), "main", NOW_MS) == Destination(tenant(), OF_PAGE)
    announce(known, account([(IdKind.PAGE, "7001")], consent="withdrawn"))
    assert resolver.resolve(item(), "main", NOW_MS) == Refused(Refusal.NO_CONSENT, TENANT, settled=False)


def test_a_kept_account_is_judged_by_each_items_own_time_and_scope() -> None:
    narrow = account([(IdKind.PAGE, "7001")], scopes=("messaging",))
    scopes = {"message.received": "messaging", "comment.added": "comments"}
    resolver = Resolver(view(tenant(), narrow), lambda one: scopes[one.event_type], lambda: ROUTING_KEY)
    assert isinstance(resolver.resolve(item(), "main", NOW_MS), Destination)
    late = resolver.resolve(item(occurred_at_ms=NOW_MS + FUTURE_MS + 1), "main", NOW_MS)
    assert late == SetAside("time_out_of_range", TENANT)
    comment = resolver.resolve(item(event_type="comment.added"), "main", NOW_MS)
    assert comment == Refused(Refusal.OUTSIDE_SCOPE, TENANT)


def test_an_administrators_id_is_another_one_for_each_app() -> None:
    hashed = app_scoped_user_hash(ROUTING_KEY, "main", "31000")
    resolver = Resolver(
        view(tenant(), account([(IdKind.APP_SCOPED_USER, hashed)])),
        lambda _item: "messaging",
        lambda: ROUTING_KEY,
    )
    one = item(AccountKey(IdKind.APP_SCOPED_USER, "31000"))
    assert isinstance(resolver.resolve(one, "main", NOW_MS), Destination)
    assert resolver.resolve(one, "second", NOW_MS) == Refused(Refusal.UNKNOWN_ACCOUNT, settled=False)
