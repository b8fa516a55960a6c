"""Private transport halves: read from the zone's secrets once for each key and process, then kept.

The hot path asks without waiting and remembers what it lacked; the next turn fetches that. So what is open goes on while the
provider is away, and only a key that nobody opened yet waits. Must never write or log a half.
"""

from __future__ import annotations

from typing import Final

from contracts.errors import KeyNotYetKnown
from contracts.hybrid import HybridPrivateKey
from runtime.secrets import Secrets

PREFIX: Final = "transport-"
MOST_LACKED: Final = 64
"""Key ids come from signed statements; a bound all the same."""


class PrivateHalves:
    """By the rest of the secret's name after `transport-`."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._held: dict[str, HybridPrivateKey] = {}
        self._lacked: set[str] = set()

    def get(self, name: str) -> HybridPrivateKey | None:
        """The half if it is here; what is not is fetched by the next `fetch`."""
        half = self._held.get(name)
        if half is None and len(self._lacked) < MOST_LACKED:
            self._lacked.add(name)
        return half

    async def fetch(self) -> bool:
        """Fetch what was asked for in vain; whether anything came. Raises KeyServiceUnavailable."""
        came = False
        for name in list(self._lacked):
            try:
                raw = await self._secrets.get_secret(PREFIX + name)
                self._held[name] = HybridPrivateKey.from_bytes(raw)
                came = True
            except KeyNotYetKnown:
                pass  # made later, or never: whoever still needs it asks again
            self._lacked.discard(name)
        return came

    async def forget_destroyed(self) -> None:
        """Drop those that the provider has no more. Raises KeyServiceUnavailable: then nothing is dropped."""
        names = set(await self._secrets.secret_names(PREFIX))
        self._held = {name: half for name, half in self._held.items() if PREFIX + name in names}
