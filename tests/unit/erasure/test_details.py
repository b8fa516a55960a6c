"""What a request says of a person: only with its day's key, for its own request, and never after eight days."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from contracts.errors import KeyGone, TamperedRecord
from runtime.files import SecretFolder
from runtime.secrets import FolderSecrets
from store.erasure.at_meta.deletion import pause_s
from store.erasure.at_meta.details import KEPT, DetailKeys
from store.erasure.at_meta.graph import Asked

NOW = datetime(2026, 11, 26, 23, 59, tzinfo=UTC)
ONE, OTHER = UUID(int=1), UUID(int=2)
PLAIN = b'{"bsuid":["BR.canary"]}'


@pytest.fixture
def keys(tmp_path: Path) -> DetailKeys:
    return DetailKeys(FolderSecrets(SecretFolder(tmp_path)))


async def test_details_open_for_their_own_request_only(keys: DetailKeys) -> None:
    cell = await keys.encrypt(ONE, PLAIN, NOW)
    assert await keys.decrypt(ONE, cell) == PLAIN
    assert b"canary" not in cell
    assert await keys.encrypt(ONE, PLAIN, NOW) != cell
    with pytest.raises(TamperedRecord):
        await keys.decrypt(OTHER, cell)


async def test_a_bit_turned_at_any_position_is_refused(keys: DetailKeys) -> None:
    cell = await keys.encrypt(ONE, PLAIN, NOW)
    for position in range(len(cell)):
        changed = bytearray(cell)
        changed[position] ^= 1
        # In the day's four bytes it names a key that is not there.
        with pytest.raises((TamperedRecord, KeyGone)):
            await keys.decrypt(ONE, bytes(changed))
    for length in (0, 1, 20, len(cell) - 1):
        with pytest.raises(TamperedRecord):
            await keys.decrypt(ONE, cell[:length])


async def test_a_days_key_is_destroyed_when_its_time_is_over_and_with_it_every_copy(keys: DetailKeys) -> None:
    cell = await keys.encrypt(ONE, PLAIN, NOW)
    midnight = NOW.replace(hour=0, minute=0)
    assert await keys.destroy_ended(midnight + KEPT - timedelta(seconds=1)) == 0
    assert await keys.decrypt(ONE, cell) == PLAIN
    assert await keys.destroy_ended(midnight + KEPT) == 1
    with pytest.raises(KeyGone):
        await keys.decrypt(ONE, cell)


def test_pauses_double_up_to_an_hour_and_meta_may_ask_for_longer_ones() -> None:
    away = Asked(None, is_deleted=False)
    assert [pause_s(attempts, away) for attempts in (0, 1, 2, 11)] == [1, 2, 4, 2_048]
    assert pause_s(50, away) == 3_600
    assert pause_s(0, Asked(429, is_deleted=False, retry_after_s=90)) == 90
    assert pause_s(0, Asked(429, is_deleted=False, retry_after_s=900_000)) == 3_600
    assert pause_s(11, Asked(429, is_deleted=False, retry_after_s=1)) == 2_048
