"""A database put back from an older base backup, and topics read from their beginning: nobody who was erased comes back.

The long form, with the fence topic lost as well and after it both, is `make drill-restore`.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.stack import LocalStack
from tests.drills.restoring import Restoring
from tests.support.world import World

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.stack]


@pytest.fixture
def scene(servers: tuple[LocalStack, int]) -> Iterator[Restoring]:
    """One person of each kind, in a world of its own: the whole cluster is replaced."""
    stack, port_base = servers
    folder: Path = stack.root / "base-backup"
    try:
        with World.on(stack, port_base) as world:
            yield Restoring(world, folder, 1)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_erased_people_stay_erased_in_an_older_database_and_from_the_topics_beginning(
    scene: Restoring,
) -> None:
    scene.begin()
    scene.until_backup()
    scene.until_loss()
    scene.lose_and_restore()
    scene.settle()
    assert [finding.text for finding in scene.findings() if not finding.holds] == []
    assert scene.applied() == scene.before.fences - scene.before.fences_in_backup
    assert scene.applied() > 0

    scene.replay_from_the_beginning()
    scene.settle()
    assert [finding.text for finding in scene.findings() if not finding.holds] == []

    # Nothing new comes: idle lanes find out by themselves that the database is another one.
    scene.backup.put_back()
    scene.settle()
    assert [finding.text for finding in scene.findings() if not finding.holds] == []
