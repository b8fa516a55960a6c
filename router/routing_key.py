"""The key that hashes administrators' app-scoped ids (contracts.control), read once at start and kept. Never written here."""

from __future__ import annotations

from contracts.errors import InvalidSettings, KeyNotYetKnown
from runtime.secrets import Secrets

ROUTING_KEY = "routing"


class RoutingKey:
    """Call it for the key, after `read`."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._key = b""

    async def read(self) -> None:
        """Raises InvalidSettings if there is none, KeyServiceUnavailable."""
        try:
            self._key = await self._secrets.get_secret(ROUTING_KEY)
        except KeyNotYetKnown as exc:
            raise InvalidSettings("MKC_ROUTER_SECRETS_DIR: holds no secret named routing") from exc

    def __call__(self) -> bytes:
        """The key. RuntimeError before `read`."""
        if not self._key:
            raise RuntimeError("the routing key was not read")
        return self._key
