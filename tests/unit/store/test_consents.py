"""Which accounts control refuses."""

from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from contracts.control import AccountRecord, Consent, ControlView
from store.lanes.consents import Consents

TENANT, OTHER = UUID(int=1), UUID(int=2)


def account(
    number: int,
    *,
    state: Literal["connected", "disconnected"] = "connected",
    consent: Literal["active", "withdrawn"] = "active",
    tenant: UUID = TENANT,
) -> AccountRecord:
    return AccountRecord(
        account=UUID(int=number),
        tenant=tenant,
        product="messenger",
        ids=(),
        consent=Consent(state=consent, since=datetime.now(UTC), scopes=frozenset(), proof_ref=UUID(int=9)),
        state=state,
    )


class Control:
    """A view that learns of one account when it is brought up to date."""

    def __init__(self, *known: AccountRecord, late: AccountRecord | None = None) -> None:
        self.view = ControlView({})
        self.view.accounts.update({record.account: record for record in known})
        self.caught_up = 0
        self._late = late

    async def catch_up(self) -> None:
        self.caught_up += 1
        if self._late is not None:
            self.view.accounts[self._late.account] = self._late


async def test_disconnected_withdrawn_and_other_tenants_accounts_are_refused() -> None:
    records = [
        account(10),
        account(11, state="disconnected"),
        account(12, consent="withdrawn"),
        account(13, tenant=OTHER),
    ]
    control = Control(*records)
    refused = await Consents(control).refused({record.account for record in records}, TENANT)
    assert refused == {UUID(int=11), UUID(int=12), UUID(int=13)}
    assert control.caught_up == 0


async def test_an_account_not_heard_of_is_looked_up_once_more_before_it_is_refused() -> None:
    control = Control(late=account(10))
    assert await Consents(control).refused({UUID(int=10), UUID(int=11)}, TENANT) == {UUID(int=11)}
    assert control.caught_up == 1
