"""The key provider: wraps tenant KEKs under root epochs, keeps named secrets. One Protocol; `keyring` and `transit` are it.

A call is never made per message (PRIVACY.md section 2): a tenant KEK is unwrapped once per epoch and process. Must never
know what it wraps, nor keep an old version of anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Protocol

from contracts.errors import InvalidSettings
from runtime.secrets import Secrets

COPIES_DIE_WITHIN: Final = timedelta(days=8)
"""Postgres, WAL and backups: what an erased person's key was wrapped under is gone that long after (PRIVACY.md section 3)."""
ROTATION_TAKES: Final = timedelta(hours=12)
"""Left for the re-wrap, the export and a custodian that was away, before an old epoch can be destroyed."""


@dataclass(frozen=True, slots=True)
class Rewrap:
    """One wrap that moves from one root epoch to another."""

    wrapped: bytes = field(repr=False)
    aad: bytes
    new_aad: bytes


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """What a provider says of itself. `epochs`: those that exist, ascending; `copies`: places a key lies in."""

    kind: str
    epochs: tuple[int, ...]
    copies: int


class KeyProvider(Secrets, Protocol):
    """Root epochs, and the named secrets of the store's zone. Every call raises KeyServiceUnavailable when the provider is away."""

    @property
    def destroy_delay(self) -> timedelta:
        """How long what was destroyed can still be had back, the provider's own backups included."""

    async def wrap(self, epoch: int, plaintext: bytes, aad: bytes) -> bytes:
        """`plaintext` under the root key of `epoch`. Raises KeyNotYetKnown for an epoch that does not exist."""

    async def unwrap(self, epoch: int, wrapped: bytes, aad: bytes) -> bytes:
        """Raises TamperedRecord if it does not open, KeyNotYetKnown for an epoch that does not exist."""

    async def rewrap_many(self, old: int, new: int, wraps: Sequence[Rewrap]) -> list[bytes]:
        """Each wrap under `new` instead of `old`, in order. One that does not open fails all: TamperedRecord."""

    async def new_epoch(self, epoch: int) -> None:
        """Make the root key of `epoch`; nothing happens if it exists."""

    async def destroy_epoch(self, epoch: int) -> None:
        """Make everything wrapped under `epoch` unreadable for ever; returns once no copy is left."""

    async def status(self) -> ProviderStatus:
        """Asks the provider itself, never a cache."""


def require_budget(provider: KeyProvider, root_epoch_lasts: timedelta, setting: str) -> None:
    """Raises InvalidSettings, naming `setting`, if an erased person's key could be had back later than promised."""
    if root_epoch_lasts + ROTATION_TAKES + provider.destroy_delay > COPIES_DIE_WITHIN:
        raise InvalidSettings(
            f"{setting}: with the provider's destroy delay, erased keys could be had back after 8 days"
        )
