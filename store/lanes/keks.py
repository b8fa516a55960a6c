"""Tenant KEKs by (tenant, epoch, wrapped bytes): one call to the key provider per epoch and process, never per message.

Must never keep a DEK, nor say which epoch is current: both are read inside each transaction (PRIVACY.md section 2).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from time import monotonic
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from store.keys.cells import kek_aad
from store.keys.provider import KeyProvider


@dataclass(frozen=True, slots=True)
class WrappedKek:
    """One row of a tenant's `epoch` table."""

    epoch: int
    root_epoch: int
    wrapped: bytes = field(repr=False)


class TenantKeks:
    """Unwrapped tenant KEKs, as cipher objects; the oldest go first."""

    def __init__(self, provider: KeyProvider, *, keep: int = 4096) -> None:
        self._provider = provider
        self._keep = keep
        self._ciphers: OrderedDict[tuple[UUID, int, bytes], AESGCM] = OrderedDict()
        self._used: dict[tuple[UUID, int, bytes], float] = {}

    async def cipher(self, tenant: UUID, row: WrappedKek) -> AESGCM:
        """Raises KeyNotYetKnown, KeyServiceUnavailable or TamperedRecord."""
        entry = (tenant, row.epoch, row.wrapped)
        cipher = self._ciphers.get(entry)
        if cipher is None:
            kek = await self._provider.unwrap(row.root_epoch, row.wrapped, kek_aad(tenant, row.epoch))
            cipher = self._ciphers[entry] = AESGCM(kek)
            if len(self._ciphers) > self._keep:
                self._used.pop(self._ciphers.popitem(last=False)[0], None)
        self._used[entry] = monotonic()
        return cipher

    def forget_unused(self, for_s: float) -> int:
        """Drop what nobody used for so long, destroyed epochs among it; how many. The rest needs no provider."""
        before = monotonic() - for_s
        old = [entry for entry, used in self._used.items() if used < before]
        for entry in old:
            self._ciphers.pop(entry, None)
            del self._used[entry]
        return len(old)
