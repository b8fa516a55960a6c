"""Erasure's public keys as a signed file: receivers seal callbacks to them and have no read rights on Kafka.

The private halves are stored before a row names a key (`store.custody.keys`), so the file never names one that nobody
could open. Must never write anything but public halves.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from contracts.control import RECIPIENT_ERASURE
from contracts.errors import TamperedRecord
from contracts.key_file import REQUEST_KEYS, PublishedKey
from contracts.signing import RIGHTS_BY_PROCESS, KnownSigner, Signer
from runtime.files import write_atomic
from store.custody.database import SQL
from store.database import translated

if TYPE_CHECKING:
    from store.database import Connection


class RequestKeyFile:
    """The file of one installation, kept by whoever is the custodian."""

    def __init__(self, path: Path, signer: Signer) -> None:
        self._path, self._signer = path, signer

    async def publish(self, connection: Connection, now: datetime) -> bool:
        """Write the keys that may be sealed to now or later, unless the file says so already; whether it was written.

        Raises DatabaseUnavailable.
        """
        with translated():
            rows = await connection.fetch(SQL["transport_keys_to_announce_of"], RECIPIENT_ERASURE, now)
        keys = tuple(
            PublishedKey(
                public_key=b64encode(row["public_key"]),
                active_from=row["active_from"],
                seal_until=row["seal_until"],
            )
            for row in rows
        )
        if self._written() == keys:
            return False
        write_atomic(self._path, REQUEST_KEYS.encode(keys, self._signer), mode=0o644)
        return True

    def _written(self) -> tuple[PublishedKey, ...] | None:
        me = KnownSigner(self._signer.name, self._signer.public_raw, RIGHTS_BY_PROCESS["custodian"])
        try:
            return REQUEST_KEYS.decode(self._path.read_bytes(), me)
        except (OSError, TamperedRecord):
            return None  # missing, or not ours: written anew
