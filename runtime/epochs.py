"""Current sealing epochs of a process: one for each (topic, tenant), renewed before they are exhausted."""

from __future__ import annotations

import os
from datetime import datetime
from uuid import UUID

from contracts.errors import TenantUnavailable
from contracts.hybrid import HybridPublicKey
from contracts.sealing import NONCE_BYTES, SealingEpoch
from contracts.signing import Signer
from runtime.clock import Clock


class EpochSource:
    """Seals records; draws epoch keys and nonces from the system and forgets them with the epoch."""

    def __init__(self, signer: Signer, clock: Clock) -> None:
        self._signer = signer
        self._clock = clock
        self._epochs: dict[tuple[str, UUID], SealingEpoch] = {}

    def seal(
        self,
        topic: str,
        tenant: UUID,
        recipient: tuple[HybridPublicKey, datetime] | None,
        plaintext: bytes,
        headers: list[tuple[str, bytes]],
    ) -> tuple[bytes, list[tuple[str, bytes]]]:
        """The record's value and all its headers (`headers` must be all `ce_*` and `mk_*` ones).

        `recipient`: the key to seal to now and its `seal_until`. Raises TenantUnavailable when there is none: past
        `seal_until` a sender fails closed.
        """
        epoch = self.current(topic, tenant, recipient)
        value = epoch.seal(plaintext, headers, os.urandom(NONCE_BYTES))
        return value, [*headers, *epoch.headers]

    def current(
        self, topic: str, tenant: UUID, recipient: tuple[HybridPublicKey, datetime] | None
    ) -> SealingEpoch:
        """The epoch to seal with now. Raises TenantUnavailable without a recipient."""
        if recipient is None:
            raise TenantUnavailable("no key to seal to")
        public, until = recipient
        now = self._clock.now()
        epoch = self._epochs.get((topic, tenant))
        if (
            epoch is None
            or epoch.exhausted(now.timestamp())
            or epoch.statement.recipient_key_id != public.key_id
        ):
            left_s = int((until - now).total_seconds())
            if left_s <= 0:
                raise TenantUnavailable("the key to seal to has ended")
            epoch = SealingEpoch.begin(
                recipient=public,
                tenant=tenant,
                topic=topic,
                signer=self._signer,
                now_s=int(now.timestamp()),
                epoch_key=os.urandom(32),
                lifetime_s=left_s,
            )
            self._epochs[topic, tenant] = epoch
        return epoch

    def forget(self, topic: str, tenant: UUID) -> None:
        """Drop an epoch (a slot was retired)."""
        self._epochs.pop((topic, tenant), None)

    @property
    def signer(self) -> Signer:
        """Who signs."""
        return self._signer
