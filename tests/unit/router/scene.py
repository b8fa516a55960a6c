"""Items, accounts and control for tests of the router's pure code."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from contracts.control import AccountId, AccountRecord, Consent, ControlView, IdKind, TenantRecord, encode
from contracts.pseudonyms import Alias, Domain
from contracts.signing import KnownSigner, Right, Signer
from router.split.item import AccountKey, Item

NOW_MS = 1_790_000_000_000
TENANT, OTHER = UUID(int=1), UUID(int=2)
PAGE = AccountKey(IdKind.PAGE, "7001")
NUMBER = AccountKey(IdKind.PHONE_NUMBER, "5001", waba="4001")
ROUTING_KEY = b"k" * 32
_NAMES = UUID(int=77)
_CUSTODIAN = Signer.from_bytes("custodian", b"c" * 32)
_PINNED = KnownSigner("custodian", _CUSTODIAN.public_raw, frozenset({Right.SIGN_CONTROL}))


def tenant(number: UUID = TENANT, *, state: Any = "ready", partitions: int = 1) -> TenantRecord:
    """A tenant record."""
    return TenantRecord(tenant=number, state=state, slot="s", partitions=partitions, schema_name="t_s")


def account(
    ids: Sequence[tuple[IdKind, str]],
    *,
    of: UUID = TENANT,
    product: Any = "messenger",
    consent: Any = "active",
    scopes: Sequence[str] = ("messaging", "comments", "account"),
    name: str = "a",
) -> AccountRecord:
    """An account record; the same name gives the same id."""
    return AccountRecord(
        account=uuid5(_NAMES, name),
        tenant=of,
        product=product,
        ids=tuple(AccountId(kind=kind, value=value) for kind, value in ids),
        consent=Consent(
            state=consent,
            since=datetime.fromtimestamp(0, UTC),
            scopes=frozenset(scopes),
            proof_ref=UUID(int=9),
        ),
        state="connected",
    )


def view(*records: TenantRecord | AccountRecord) -> ControlView:
    """A view that holds these records."""
    made = ControlView({"custodian": _PINNED})
    for record in records:
        announce(made, record)
    return made


def announce(to: ControlView, record: TenantRecord | AccountRecord) -> None:
    """Say something new, signed by the custodian."""
    to.apply(*encode(record, _CUSTODIAN))


def item(
    key: AccountKey | None = PAGE,
    *,
    event_type: str = "message.received",
    occurred_at_ms: int | None = NOW_MS - 1_500,
    native_id: str | None = "m_1",
    path: str = "entry[0].messaging[0]",
    conversation: str | None = "900",
    message_id: str | None = "m_1",
    aliases: tuple[Alias, ...] = (Alias(Domain.PSID, "900"),),
    data: Any = None,
) -> Item:
    """One item."""
    return Item(
        path=path,
        provider_object="page",
        event_type=event_type,
        account=key,
        direction="inbound",
        occurred_at_ms=occurred_at_ms,
        native_id=native_id,
        discriminator=(),
        aliases=aliases,
        conversation=conversation,
        message_id=message_id,
        data={"fragment": {}} if data is None else data,
    )
