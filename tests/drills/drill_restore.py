"""`make drill-restore`: an older base backup in the place of the database, for real, and nobody who was erased is back.

A Kafka and a PostgreSQL of its own and every process. The database is lost after erasures, returns, new people, an
unsent message and a request that nobody had read; the backup of before is laid down while the store runs, and the
topics are read again. Then: all topics from their beginning; the fence topic lost; both lost. Exit 1 on any mismatch.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from deploy.local.stack import LocalStack
from tests.drills.restoring import Restoring
from tests.support.servers import free_port_base
from tests.support.world import World

STARTED = time.perf_counter()


class Drill:
    """Prints every step and every finding, and counts what does not hold."""

    def __init__(self, scene: Restoring) -> None:
        self.scene = scene
        self.failed = 0

    def say(self, text: str) -> None:
        """A step, with the seconds since the start."""
        print(f"{time.perf_counter() - STARTED:6.1f} s  {text}", flush=True)

    def check(self, text: str, *, holds: bool) -> None:
        """A finding."""
        self.failed += not holds
        print(f"          {'ok    ' if holds else 'WRONG '} {text}", flush=True)

    def look(self) -> None:
        """Everything that must be true."""
        self.scene.settle()
        for finding in self.scene.findings():
            self.check(finding.text, holds=finding.holds)

    def play(self) -> None:
        """The whole of it."""
        scene, before = self.scene, self.scene.before
        scene.begin()
        scene.until_backup()
        self.say(f"base backup taken: {len(scene.texts)} messages, {before.fences_in_backup} fences")
        scene.until_loss()
        self.say(
            f"{len(scene.texts)} messages, {before.fences} fences, {len(scene.late)} requests unread: database lost"
        )

        scene.lose_and_restore()
        self.say("the backup is in its place, nothing was replayed into it from WAL")
        self.look()
        missing = before.fences - before.fences_in_backup
        self.check(
            f"{scene.applied():.0f} missing fences applied, {missing} expected",
            holds=scene.applied() == missing,
        )

        scene.replay_from_the_beginning()
        self.say("every topic from its beginning")
        self.look()

        scene.make_fence_topic_anew()
        scene.wait_gate(is_open=False)
        rows = scene.world.row_count(scene.tenant)
        scene.say("live")
        self.say("the fence topic was lost and made anew")
        self.check("the store refuses to write and is not ready", holds=not self._is_ready())
        self.check("a new message is not stored", holds=scene.world.row_count(scene.tenant) == rows)
        written = scene.republish()
        scene.wait_gate(is_open=True)
        self.say(f"republished: {written} fences")
        self.check("every fence is on the new topic", holds=written == before.fences + len(scene.late))
        scene.wait_stored()
        self.look()

        scene.backup.put_back()
        scene.wait_gate(is_open=False)
        self.say("the backup again: it knows the topic of before")
        written = scene.republish()
        scene.wait_gate(is_open=True)
        self.say(f"republished: {written} fences; those that the topic had are applied")
        self.look()

    def _is_ready(self) -> bool:
        return self.scene.is_store_ready()


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if everything holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.drill_restore", description=__doc__)
    parser.add_argument("--people", type=int, default=10, help="of each of nine kinds (default 10)")
    options = parser.parse_args(arguments)
    root = Path(tempfile.mkdtemp(prefix="mkc-drill-restore-"))
    root.chmod(0o755)
    base = free_port_base()
    try:
        with LocalStack(root, port_base=base, profile="test") as stack, World.on(stack, base) as world:
            drill = Drill(Restoring(world, root / "base", options.people))
            drill.play()
    finally:
        shutil.rmtree(root, ignore_errors=True)
    if drill.failed:
        print(f"FAILED: {drill.failed} findings are wrong", file=sys.stderr)
        return 1
    print("ok: everybody who was erased stays erased, every live message is there")
    return 0


if __name__ == "__main__":
    sys.exit(main())
