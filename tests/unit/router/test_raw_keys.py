"""The raw keys' calendar: published ahead, long enough, destroyed on schedule."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts.key_file import RAW_KEYS, PublishedKey, current_key
from contracts.signing import KnownSigner, Right, Signer
from router.raw_keys import KEPT_AFTER, SEALED_FOR, Keyring, RawKeyMaker
from runtime.files import SecretFolder
from runtime.secrets import FolderSecrets

NOW = datetime(2026, 11, 26, 15, 30, tzinfo=UTC)
SIGNER = Signer.from_bytes("router", b"s" * 32)
ROUTER = KnownSigner("router", SIGNER.public_raw, frozenset({Right.SIGN_RAW_KEYS}))


class Office:
    """A key maker with its folder and file."""

    def __init__(self, folder: Path) -> None:
        self.folder = SecretFolder(folder / "secrets")
        self.secrets = FolderSecrets(self.folder)
        self.file = folder / "raw_keys.json"
        self.maker = RawKeyMaker(self.secrets, self.file, SIGNER)

    def published(self) -> tuple[PublishedKey, ...]:
        """What receivers read."""
        return RAW_KEYS.decode(self.file.read_bytes(), ROUTER)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    """Nothing made yet."""
    return Office(tmp_path)


async def test_the_first_key_is_active_at_once_and_three_more_are_published_ahead(office: Office) -> None:
    assert not office.maker.published(NOW)
    await office.maker.tend(NOW)
    assert office.maker.published(NOW)
    keys = office.published()
    assert [key.active_from.day for key in keys] == [26, 27, 28, 29]
    assert current_key(keys, NOW) is not None
    assert len(office.folder.names("raw-")) == 4


async def test_a_receiver_has_a_key_while_no_router_runs_for_three_days(office: Office) -> None:
    await office.maker.tend(NOW)
    keys = office.published()
    for hours in range(72 + 1):
        assert current_key(keys, NOW + timedelta(hours=hours)) is not None


async def test_a_new_day_has_a_new_key_and_the_old_ones_stay(office: Office) -> None:
    await office.maker.tend(NOW)
    today = current_key(office.published(), NOW)
    await office.maker.tend(NOW + timedelta(days=1))
    tomorrow = current_key(office.published(), NOW + timedelta(days=1))
    assert today is not None
    assert tomorrow is not None
    assert today[0].key_id != tomorrow[0].key_id
    keyring = Keyring(office.secrets)
    await keyring.reload()
    assert keyring.get(today[0].key_id) is not None


async def test_two_routers_that_overlap_make_the_same_keys(office: Office, tmp_path: Path) -> None:
    await office.maker.tend(NOW)
    before = office.published()
    await RawKeyMaker(office.secrets, office.file, SIGNER).tend(NOW)
    assert office.published() == before


async def test_an_unchanged_list_is_not_written_again(office: Office) -> None:
    await office.maker.tend(NOW)
    before = office.file.stat().st_ino
    await office.maker.tend(NOW + timedelta(hours=1))
    assert office.file.stat().st_ino == before


async def test_a_file_of_another_signer_is_replaced(office: Office) -> None:
    await office.maker.tend(NOW)
    office.file.write_bytes(RAW_KEYS.encode(office.published(), Signer.from_bytes("router", b"x" * 32)))
    await office.maker.tend(NOW)
    assert len(office.published()) == 4


async def test_a_private_half_is_destroyed_seven_days_after_the_last_seal_and_not_before(
    office: Office,
) -> None:
    await office.maker.tend(NOW)
    midnight = NOW.replace(hour=0, minute=0)
    due = midnight + SEALED_FOR + KEPT_AFTER
    assert await office.maker.tend(due - timedelta(seconds=1)) == 0
    assert "raw-20261126" in office.folder.names()
    assert await office.maker.tend(due) == 1
    assert "raw-20261126" not in office.folder.names()
    keyring = Keyring(office.secrets)
    await keyring.reload()
    assert all(key.active_from > midnight for key in office.published())


async def test_other_secrets_in_the_folder_are_left_alone(office: Office) -> None:
    office.folder.put("routing", b"r" * 32)
    office.folder.put("raw-notaday", b"r")
    await office.maker.tend(NOW)
    await Keyring(office.secrets).reload()
    assert office.folder.get("routing") == b"r" * 32
