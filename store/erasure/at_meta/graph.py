"""One call to Meta's Graph API: the deletion from a number's contact book. META.md section 14.

The access token goes in a header and never in the address, beside its `appsecret_proof`; redirects are not followed. Must
never log an address, a header or what Meta answers, nor hold an app secret: the proof was made where that secret is
(`mkc proof`).
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp
import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contracts.errors import InvalidSettings
from runtime.files import read_secret

_MOST_BYTES: Final = 64 * 1024
_TIMEOUT: Final = aiohttp.ClientTimeout(total=20, connect=5)
_NO_USE_ASKING: Final = frozenset({400, 404, 405, 410, 422})


class _TokenFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    token: str = Field(min_length=1, max_length=4_096, pattern=r"^[!-~]+$", repr=False)
    proof: str = Field(pattern=r"^[0-9a-f]{64}$", repr=False)


@dataclass(frozen=True, slots=True)
class Access:
    """What opens one number at Meta."""

    token: str = field(repr=False)
    proof: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of one call. `status`: Meta's, None if nobody answered in time."""

    status: int | None
    is_deleted: bool
    retry_after_s: float | None = None

    @property
    def is_useless(self) -> bool:
        """Meta would say the same again."""
        return self.status in _NO_USE_ASKING


class Tokens:
    """A folder with one file (0600) for each number: `<phone_number_id>.json`, `{"token": "…", "proof": "…"}`.

    Read at each call: a token that is replaced is used at once.
    """

    SETTING: Final = "MKC_ERASURE_META_TOKENS_DIR"

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def has(self, phone_number_id: str) -> bool:
        """Whether there is one for that number. Control says numbers of digits only."""
        return self._path(phone_number_id) is not None

    def access(self, phone_number_id: str) -> Access:
        """Raises InvalidSettings if the file is gone, open to others or not of this form."""
        path = self._path(phone_number_id)
        if path is None:
            raise InvalidSettings(f"{self.SETTING}: there is no token for a number")
        try:
            read = _TokenFile.model_validate_json(read_secret(path, self.SETTING))
        except ValidationError:
            # Without the cause: a token pasted in the wrong place must not travel in a traceback.
            raise InvalidSettings(f"{self.SETTING}: a file is not of the documented form") from None
        return Access(read.token, read.proof)

    def _path(self, phone_number_id: str) -> Path | None:
        if self._folder is None or not (phone_number_id.isascii() and phone_number_id.isdigit()):
            return None
        path = self._folder / f"{phone_number_id}.json"
        return path if path.is_file() else None


class GraphApi:
    """`base_url` with its version, as `https://graph.facebook.com/v25.0`. Close it with `close`."""

    def __init__(
        self, base_url: str, context: Callable[[], ssl.SSLContext] = ssl.create_default_context
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._context = context
        self._made: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """End its connections."""
        if self._made is not None:
            await self._made.close()

    @property
    def _session(self) -> aiohttp.ClientSession:
        # Not before there is something to ask: where no token is configured there never is.
        if self._made is None:
            self._made = aiohttp.ClientSession(
                timeout=_TIMEOUT,
                connector=aiohttp.TCPConnector(ssl=self._context(), limit=4),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._made

    async def delete_contact(self, phone_number_id: str, bsuid: str, access: Access) -> Asked:
        """Ask once. Raises nothing for what Meta or the network does."""
        try:
            async with self._session.delete(
                f"{self._base_url}/{phone_number_id}/contact_book",
                params={
                    "messaging_product": "whatsapp",
                    "bsuid": bsuid,
                    "appsecret_proof": access.proof,
                },
                headers={"Authorization": f"Bearer {access.token}"},
                allow_redirects=False,
            ) as response:
                body = await response.content.read(_MOST_BYTES)
                status, after = response.status, response.headers.get("Retry-After", "")
        except (aiohttp.ClientError, TimeoutError, OSError):
            return Asked(None, is_deleted=False)
        wait_s = float(after) if after.isascii() and after.isdigit() and len(after) < 7 else None
        return Asked(status, status == 200 and _says_success(body), wait_s)


def _says_success(body: bytes) -> bool:
    try:
        said = orjson.loads(body)
    except ValueError:
        return False
    return isinstance(said, dict) and said.get("success") is True
