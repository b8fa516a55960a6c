"""The raw keypairs: makes one a day, publishes the public halves in a signed file, destroys private halves on schedule.

Whichever router holds partition 0 of `mk.raw.v1` makes them (put-if-absent by day, so two that overlap make the same
one); every router reads them. A day's key is active from that day's midnight UTC and sealed to for four days, so
receivers have a valid key while no router runs for three days; senders take the youngest active one. A public half is
published only after its private half reads back. Must never hand a private half to anything but the opener.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from contracts.errors import KeyNotYetKnown, TamperedRecord
from contracts.hybrid import HybridPrivateKey
from contracts.key_file import RAW_KEYS, PublishedKey, current_key
from contracts.sealing import KEY_KEPT_AFTER_S
from contracts.signing import KnownSigner, Right, Signer
from runtime.files import write_atomic
from runtime.secrets import Secrets

PREFIX: Final = "raw-"
PUBLISHED_AHEAD_DAYS: Final = 3
SEALED_FOR: Final = timedelta(days=4)
KEPT_AFTER: Final = timedelta(seconds=KEY_KEPT_AFTER_S)
_NAME: Final = re.compile(r"raw-(\d{8})")


def _day_of(name: str) -> datetime | None:
    matched = _NAME.fullmatch(name)
    if matched is None:
        return None
    try:
        return datetime.strptime(matched[1], "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return None


def _name_of(day: datetime) -> str:
    return f"{PREFIX}{day:%Y%m%d}"


def days_wanted(now: datetime) -> tuple[datetime, ...]:
    """Today and the three days ahead: the midnights (UTC) whose keys must be published now."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return tuple(today + timedelta(days=ahead) for ahead in range(PUBLISHED_AHEAD_DAYS + 1))


class RawKeyMaker:
    """Makes, publishes and destroys. Only the holder of raw partition 0 calls `tend`."""

    def __init__(self, secrets: Secrets, file: Path, signer: Signer) -> None:
        self._secrets = secrets
        self._file = file
        self._signer = signer

    async def tend(self, now: datetime) -> int:
        """Make missing keys, publish the list if it changed, destroy what is due; how many halves were destroyed."""
        published: list[PublishedKey] = []
        names = await self._secrets.secret_names(PREFIX)
        present = {day for name in names if (day := _day_of(name)) is not None}
        for day in sorted(present | set(days_wanted(now))):
            if day + SEALED_FOR <= now:
                continue
            name = _name_of(day)
            if day not in present:
                await self._secrets.put_secret_if_absent(name, HybridPrivateKey.generate().raw)
            # Read back before publishing: nothing may be sealed to a key that cannot be opened with.
            public = HybridPrivateKey.from_bytes(await self._secrets.get_secret(name)).public
            published.append(
                PublishedKey.model_construct(
                    public_key=public.raw, active_from=day, seal_until=day + SEALED_FOR
                )
            )
        self._publish(tuple(published))
        due = [day for day in present if day + SEALED_FOR + KEPT_AFTER <= now]
        for day in due:
            await self._secrets.destroy_secret(_name_of(day))
        return len(due)

    def _publish(self, keys: tuple[PublishedKey, ...]) -> None:
        try:
            if self._read() == keys:
                return
        except (OSError, TamperedRecord):
            pass  # missing, or not ours: written anew
        write_atomic(self._file, RAW_KEYS.encode(keys, self._signer), mode=0o644)

    def _read(self) -> tuple[PublishedKey, ...]:
        me = KnownSigner(self._signer.name, self._signer.public_raw, frozenset({Right.SIGN_RAW_KEYS}))
        return RAW_KEYS.decode(self._file.read_bytes(), me)

    def published(self, now: datetime) -> bool:
        """True while the file names a key that receivers can seal to."""
        try:
            return current_key(self._read(), now) is not None
        except (OSError, TamperedRecord):
            return False


class Keyring:
    """The raw private halves by key id, as far as they have been read."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._by_name: dict[str, HybridPrivateKey] = {}
        self._by_id: dict[bytes, HybridPrivateKey] = {}

    def get(self, key_id: bytes) -> HybridPrivateKey | None:
        """The private half of that id, or None: `reload`, then ask again."""
        return self._by_id.get(key_id)

    async def reload(self) -> None:
        """Read what is new and forget what was destroyed. Raises KeyServiceUnavailable: then all stays as it is."""
        read: dict[str, HybridPrivateKey] = {}
        for name in await self._secrets.secret_names(PREFIX):
            if _day_of(name) is None:
                continue
            try:
                held = self._by_name.get(name)
                read[name] = held or HybridPrivateKey.from_bytes(await self._secrets.get_secret(name))
            except KeyNotYetKnown:
                continue  # destroyed since it was listed
        self._by_name = read
        self._by_id = {key.public.key_id: key for key in self._by_name.values()}
