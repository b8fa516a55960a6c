"""A client of Vault's and OpenBao's HTTP API: one request, its answer, and what of it may pass by itself.

What is asked (secrets, wrapped keys) is the business of `runtime.secrets` and of the key provider. Must never put the
token, or a word that the server answered, into an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from ssl import SSLContext
from typing import Any, Final

import aiohttp

from contracts.errors import KeyServiceUnavailable
from runtime.files import read_secret

TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class VaultServer:
    """Where it is, and the file of the token that it knows us by."""

    url: str
    token_file: Path
    tls: SSLContext | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of what the server answered."""

    status: int
    body: Mapping[str, Any] = field(repr=False)

    def says(self, words: str) -> bool:
        """Whether one of the server's errors holds `words`."""
        return any(words in str(error) for error in self.body.get("errors") or ())

    def expect(self, *statuses: int) -> Answer:
        """This answer. Raises KeyServiceUnavailable if its status is another."""
        if self.status not in statuses:
            raise KeyServiceUnavailable("the key service answers something else")
        return self


class VaultClient:
    """Connections to one server. The token is read from its file for each call: it may be renewed beside us."""

    def __init__(self, server: VaultServer) -> None:
        self._server = server
        self._session: aiohttp.ClientSession | None = None

    async def call(self, method: str, path: str, fields: Mapping[str, Any] | None = None) -> Answer:
        """One request; 404 is what its engine does not have. Raises KeyServiceUnavailable for everything that may pass: network,
        403, 412, 429, 5xx, an engine that is not mounted."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        token = read_secret(self._server.token_file, "TRANSIT_TOKEN_FILE").decode().strip()
        try:
            async with self._session.request(
                method,
                f"{self._server.url.rstrip('/')}/v1/{path}",
                json=fields,
                headers={"X-Vault-Token": token, "X-Vault-Request": "true"},
                ssl=self._server.tls or True,
                allow_redirects=False,
            ) as response:
                body = await response.json(content_type=None) if response.status != 204 else {}
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as exc:
            raise KeyServiceUnavailable("the key service does not answer") from exc
        if response.status in (403, 412, 429) or response.status >= 500:
            raise KeyServiceUnavailable("the key service refuses or is sealed")
        answer = Answer(response.status, body if isinstance(body, dict) else {})
        # What is not there is told without an error. With one nothing is mounted at that path: a key that was not
        # looked for there is not destroyed.
        if answer.status == 404 and answer.body.get("errors") != [] and "data" not in answer.body:
            raise KeyServiceUnavailable("the key service has no such engine")
        return answer

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
