"""A pass over the grants: those whose time is up end, permissions follow, each active one gets the day's keys.

A key is published at its `active_from`, never ahead, and only to grants that are active then: a reader that was revoked
keeps what it has and gets no more. Must never hold a private half longer than it takes to wrap it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import asyncpg

from contracts.errors import KeyNotYetKnown
from contracts.grants import ForGrant, wrap_for_grant
from contracts.hybrid import HybridPrivateKey, HybridPublicKey
from contracts.signing import Signer
from contracts.topics import tenant_keys_topic
from runtime import logging
from runtime.kafka.clients import Producer, acknowledged
from runtime.secrets import Secrets
from store.audit.log import AuditEntry, What, append
from store.custody.access import Access
from store.custody.control import KEY_KEPT_AFTER, ControlPublisher, grant_record
from store.custody.database import SQL
from store.custody.keys import Recipient
from store.database import translated

if TYPE_CHECKING:
    from store.database import Connection


class GrantKeySender:
    """Puts wrapped keys on the tenants' keys topics. Raises BrokerUnavailable."""

    def __init__(self, producer: Producer, signer: Signer) -> None:
        self._producer, self._signer = producer, signer

    async def send(
        self, private: HybridPrivateKey, target: ForGrant, active_from: datetime, seal_until: datetime
    ) -> None:
        """Return when it is durable."""
        key, value, headers = wrap_for_grant(private, target, active_from, seal_until, self._signer)
        future = await self._producer.send(target.topic, value, key=key, headers=headers, partition=0)
        await acknowledged(future)


async def tend_grants(
    connection: Connection,
    access: Access | None,
    sender: GrantKeySender,
    publisher: ControlPublisher,
    store_secrets: Secrets,
    now: datetime,
    *,
    compare: bool,
) -> int:
    """One pass; how many permits, grants and keys changed. Raises BrokerUnavailable or DatabaseUnavailable."""
    with translated():
        await connection.execute(SQL["expire_grants"], now)
        unapplied = await connection.fetch(SQL["unapplied_grants"])
    changed = 0
    if access is not None and (changed := await access.keep(connection, compare=compare)):
        logging.get_logger().info("access.changed", count=changed)
    with translated():
        async with connection.transaction():
            for row in unapplied:
                if await connection.fetchval(SQL["grant_applied"], row["grant_id"], row["ended"]) is not None:
                    what = What.GRANT_ENDED if row["ended"] else What.GRANT_GIVEN
                    entry = AuditEntry(what, "custodian", tenant=row["tenant_id"], item=row["grant_id"])
                    await append(connection, entry)
        told = [row["grant_id"] for row in unapplied]
        changed_grants = await connection.fetch(SQL["grants_for_control"], told) if told else []
    await publisher.publish(*map(grant_record, changed_grants))
    with translated():
        due = await connection.fetch(SQL["grant_keys_due"], now, now - KEY_KEPT_AFTER)
    return changed + len(unapplied) + await _publish(connection, sender, store_secrets, due)


async def _publish(
    connection: Connection,
    sender: GrantKeySender,
    store_secrets: Secrets,
    due: Sequence[asyncpg.Record],
) -> int:
    published = 0
    for row in due:
        recipient = Recipient.tenant(row["tenant_id"], store_secrets)
        try:
            raw = await recipient.secrets.get_secret(recipient.prefix + row["key_id"].hex())
        except KeyNotYetKnown as exc:
            # One tenant's lost half must not hold up the other tenants' readers.
            logging.get_logger().error("grant_key.missing", exc=exc, tenant=str(row["tenant_id"]))
            continue
        reader = HybridPublicKey.from_bytes(row["reader_key"])
        target = ForGrant(row["grant_id"], row["tenant_id"], tenant_keys_topic(row["slot"]), reader)
        await sender.send(HybridPrivateKey.from_bytes(raw), target, row["active_from"], row["seal_until"])
        with translated():
            await connection.execute(SQL["grant_key_published"], row["grant_id"], row["key_id"])
        published += 1
    return published
