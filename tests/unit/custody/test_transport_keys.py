"""Which transport keys are due, and that a private half left by a kill is used and not lost."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from contracts.hybrid import HybridPrivateKey
from runtime.files import SecretFolder
from runtime.secrets import FolderSecrets
from store.custody.keys import SEALED_FOR, Recipient, due, make_keys

NOW = datetime(2026, 11, 26, 5, 0, tzinfo=UTC)


def _until(starts: list[datetime]) -> list[tuple[datetime, datetime]]:
    return [(start, start + SEALED_FOR) for start in starts]


def test_the_first_key_is_active_at_once_and_the_next_days_follow_three_days_ahead() -> None:
    first, *ahead = due((), NOW)
    assert first <= NOW
    assert ahead == [datetime(2026, 11, day, tzinfo=UTC) for day in (27, 28, 29)]


def test_nothing_is_due_twice_and_each_day_brings_one_key_three_days_ahead() -> None:
    existing = _until(due((), NOW))
    assert due(existing, NOW) == []
    for days in range(1, 30):
        made = due(existing, NOW + timedelta(days=days))
        assert len(made) == 1
        assert made[0] - (NOW + timedelta(days=days)) > timedelta(days=2)
        existing += _until(made)


def test_three_days_without_a_custodian_leave_a_key_to_seal_to() -> None:
    existing = _until(due((), NOW))
    away = NOW + timedelta(days=3)
    assert any(active <= away < until for active, until in existing)


def test_an_unplanned_key_is_announced_ten_minutes_before_it_begins() -> None:
    existing = _until([NOW - timedelta(days=9)])
    assert due(existing, NOW)[0] == NOW + timedelta(minutes=10)


async def test_a_private_half_that_no_row_names_is_used_first(tmp_path: Path) -> None:
    folder = SecretFolder(tmp_path / "secrets")
    recipient = Recipient.tenant(uuid4(), FolderSecrets(folder))
    (left,) = await make_keys(recipient, (), [NOW])
    (used,) = await make_keys(recipient, (), [NOW])
    assert used.public == left.public
    (fresh,) = await make_keys(recipient, (used.public.key_id,), [NOW])
    assert fresh.public != used.public
    assert len(folder.names()) == 2


async def test_the_private_half_stands_under_its_key_id_and_opens_what_is_sealed_to_it(
    tmp_path: Path,
) -> None:
    folder = SecretFolder(tmp_path / "secrets")
    tenant = uuid4()
    (made,) = await make_keys(Recipient.tenant(tenant, FolderSecrets(folder)), (), [NOW])
    raw = folder.get(f"transport-{tenant}-{made.public.key_id.hex()}")
    assert HybridPrivateKey.from_bytes(raw).open(made.public.seal(b"x", b"i"), b"i") == b"x"
