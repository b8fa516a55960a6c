"""Transport keys by the day: made ahead, private half first, announced by `control`, destroyed on schedule.

A recipient's first key is active at once; after that there is one for each day, made three days before it begins
(DESIGN.md section 7). A sender takes the youngest active one, so each is used for a day and three more stand in when
the custodian is away. The private half lies in the recipient's secrets, and reads back, before any row names the key.
Must never keep a private half anywhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from contracts.control import RECIPIENT_ERASURE, tenant_recipient
from contracts.errors import KeyServiceUnavailable
from contracts.hybrid import HybridPrivateKey, HybridPublicKey
from contracts.sealing import CLOCK_SLACK_S
from runtime.secrets import Secrets
from store.audit.log import AuditEntry, What, append
from store.custody.control import KEY_KEPT_AFTER
from store.custody.database import SQL
from store.database import translated
from store.keys.provider import KeyProvider

if TYPE_CHECKING:
    from store.database import Connection

DAY: Final = timedelta(days=1)
AHEAD: Final = timedelta(days=3)
SEALED_FOR: Final = timedelta(days=4)
"""`seal_until` = `active_from` + this: senders go on for three days after the next key should have come."""
UNPLANNED_AHEAD: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whose keys they are, and where the private halves lie: secrets `<prefix><key id hex>`."""

    name: str
    secrets: Secrets
    prefix: str

    @classmethod
    def tenant(cls, tenant: UUID, store_secrets: Secrets) -> Recipient:
        """A tenant's, in the store's secrets."""
        return cls(tenant_recipient(tenant), store_secrets, f"transport-{tenant}-")

    @classmethod
    def erasure(cls, erasure_secrets: Secrets) -> Recipient:
        """The erasure consumer's: requests are sealed to it."""
        return cls(RECIPIENT_ERASURE, erasure_secrets, "transport-")


@dataclass(frozen=True, slots=True)
class Made:
    """A key whose private half is stored."""

    public: HybridPublicKey
    active_from: datetime

    @property
    def seal_until(self) -> datetime:
        """When senders must stop using it."""
        return self.active_from + SEALED_FOR


def due(existing: Sequence[tuple[datetime, datetime]], now: datetime) -> list[datetime]:
    """The `active_from` of each key that must be made now. `existing`: (active_from, seal_until) of all keys."""
    starts: list[datetime] = []
    if not any(active <= now < until for active, until in existing):
        # The first one is active for senders whose clocks are behind ours, too.
        starts.append(now + UNPLANNED_AHEAD if existing else now - timedelta(seconds=CLOCK_SLACK_S))
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    have = {active for active, _ in existing}
    for days in range(1, AHEAD // DAY + 1):
        if (start := midnight + days * DAY) not in have:
            starts.append(start)
    return starts


async def make_keys(recipient: Recipient, known: Iterable[bytes], starts: Sequence[datetime]) -> list[Made]:
    """One stored keypair for each of `starts`. A private half that no row names (left by a kill) is used first.

    Raises KeyServiceUnavailable if a private half does not read back.
    """
    named = {f"{recipient.prefix}{key_id.hex()}" for key_id in known}
    held = await recipient.secrets.secret_names(recipient.prefix)
    orphans = [name for name in held if name not in named]
    made: list[Made] = []
    for start in starts:
        if orphans:
            private = HybridPrivateKey.from_bytes(await recipient.secrets.get_secret(orphans.pop(0)))
        else:
            private = HybridPrivateKey.generate()
            name = recipient.prefix + private.public.key_id.hex()
            await recipient.secrets.put_secret(name, private.raw)
            stored = HybridPrivateKey.from_bytes(await recipient.secrets.get_secret(name))
            if stored.public != private.public:
                raise KeyServiceUnavailable("a private half does not read back")
        made.append(Made(private.public, start))
    return made


async def insert_keys(connection: Connection, recipient: Recipient, made: Sequence[Made]) -> None:
    """Their rows; nothing happens to those that exist."""
    await connection.executemany(
        SQL["insert_transport_key"],
        [
            (recipient.name, key.public.key_id, key.public.raw, key.active_from, key.seal_until)
            for key in made
        ],
    )


async def ensure_keys(connection: Connection, recipient: Recipient, now: datetime) -> int:
    """Make what is due for one recipient; how many keys."""
    with translated():
        rows = await connection.fetch(SQL["transport_keys_of"], recipient.name)
        starts = due([(row["active_from"], row["seal_until"]) for row in rows], now)
        if starts:
            made = await make_keys(recipient, [row["key_id"] for row in rows], starts)
            await insert_keys(connection, recipient, made)
    return len(starts)


async def destroy_ended_keys(
    connection: Connection, store_secrets: Secrets, erasure_secrets: Secrets, now: datetime
) -> int:
    """Destroy private halves seven days after their `seal_until`; how many."""
    with translated():
        rows = await connection.fetch(SQL["ended_transport_keys"], now - KEY_KEPT_AFTER)
    destroyed = 0
    present = {
        id(secrets): set(await secrets.secret_names("transport-"))
        for secrets in (store_secrets, erasure_secrets)
    }
    for row in rows:
        if row["recipient"] == RECIPIENT_ERASURE:
            recipient = Recipient.erasure(erasure_secrets)
        else:
            recipient = Recipient.tenant(UUID(row["recipient"].removeprefix("tenant/")), store_secrets)
        name = recipient.prefix + row["key_id"].hex()
        if name in present[id(recipient.secrets)]:
            await recipient.secrets.destroy_secret(name)
            destroyed += 1
    if destroyed:
        with translated():
            entry = AuditEntry(What.TRANSPORT_KEY_DESTROYED, "custodian", numbers={"keys": destroyed})
            await append(connection, entry)
    return destroyed


async def ensure_root_epoch(connection: Connection, provider: KeyProvider) -> None:
    """Root epoch 1 at the first start: the key first, then its row.

    Raises KeyServiceUnavailable if the database knows a current epoch that the provider has not: a new key in its place
    would hide that everything under the old one is lost.
    """
    with translated():
        current = await connection.fetchval(SQL["current_root_epoch"])
    if current is not None:
        if current not in (await provider.status()).epochs:
            raise KeyServiceUnavailable("the key provider has not the database's current root epoch")
        return
    await provider.new_epoch(1)
    with translated():
        await connection.execute(SQL["ensure_first_root_epoch"])
