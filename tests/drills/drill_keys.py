"""`make drill-keys`: a database lost after a rotation is recovered, from base backup and WAL, and from the export alone.

A secured Kafka and PostgreSQL of its own, with a real WAL archive and a real pg_basebackup. The custodian rotates by itself;
then the server is killed and its data directory removed. Exit 0 if every message reads that must, and no erased one.
"""

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from contracts.errors import KeyNotYetKnown
from deploy.local.postgres_binaries import binaries, server_user
from deploy.local.stack import LocalStack
from store.custody.epochs.recover import Recovered, newest_export, recover
from tests.integration.store.cell import Cell, event
from tests.security.keys.cell import KeyCell
from tests.support.servers import free_port_base
from tests.support.world import Tenant, World


class DrillFailed(Exception):
    """The drill found what it looks for."""


class Drill:
    """One run, in a folder of its own."""

    def __init__(self, root: Path, stack: LocalStack, world: World) -> None:
        self.root, self.stack, self.world = root, stack, world
        self.archive, self.base = root / "archive", root / "base"
        self.user = server_user()

    def say(self, text: str) -> None:
        """A step, with the seconds since the start."""
        print(f"{time.perf_counter() - STARTED:6.1f} s  {text}", flush=True)

    def archive_wal(self) -> None:
        """Turn the WAL archive on, as production has it."""
        for folder in (self.archive, self.base):
            folder.mkdir(mode=0o700)
            if self.user is not None:
                os.chown(folder, *self.user)
        for name, value in (
            ("archive_mode", "on"),
            ("archive_command", f"test ! -f {self.archive}/%f && cp %p {self.archive}/%f"),
            ("archive_timeout", "1"),
        ):
            self.world.sql(f"ALTER SYSTEM SET {name} = '{value}'", database="postgres")
        self.stack.postgres.stop()
        self.stack.postgres.start()

    def back_up(self) -> None:
        """A real base backup, with the superuser's password file, which the server's own user may not read."""
        program = binaries(self.stack.postgres.version, self.user) / "pg_basebackup"
        command = [
            str(program),
            "-d",
            self.stack.dsn("postgres"),
            "-D",
            str(self.base),
            "-X",
            "stream",
            "-c",
            "fast",
        ]
        subprocess.run(command, check=True, cwd="/")

    def lose(self) -> None:
        """Kill the server and remove every byte of the database."""
        if self.stack.postgres.is_running():
            self.stack.postgres.kill()
        shutil.rmtree(self.stack.postgres.data_dir)

    def restore(self, *, with_wal: bool) -> None:
        """The base backup in place of the lost directory, and the archive's WAL on top if there is one."""
        data = self.stack.postgres.data_dir
        shutil.copytree(self.base, data)
        if with_wal:
            (data / "recovery.signal").touch()
            with (data / "postgresql.auto.conf").open("a") as file:
                file.write(f"restore_command = 'cp {self.archive}/%f %p'\n")
        else:
            with (data / "postgresql.auto.conf").open("a") as file:
                file.write("archive_mode = off\n")
        for path in (data, *data.rglob("*")):
            if self.user is not None:
                os.chown(path, *self.user)
        data.chmod(0o700)
        self.stack.postgres.start()
        self.world.wait_until(
            lambda: not self.world.sql("SELECT pg_is_in_recovery()", database="postgres")[0][0],
            60,
            "the recovery",
        )


async def recovered(cell: KeyCell) -> Recovered:
    """What `mkc keys recover` does."""
    async with cell.custodian() as connection:
        return await recover(connection, cell.provider(), newest_export(cell.places))


async def readable(cell: KeyCell, tenant: Tenant) -> tuple[int, int]:
    """Messages that read, and those of erased people."""
    read = await cell.read(tenant)
    return len(read) - read.count(None), read.count(None)


def play(drill: Drill, wait_s: float) -> None:
    """The whole drill. Raises DrillFailed."""
    world = drill.world
    drill.archive_wal()
    world.start(["custodian"])
    plain = Cell(world)
    tenant = plain.new_tenant()
    cell = KeyCell(world, (tenant, tenant))
    asyncio.run(plain.write(tenant, *(event(f"p{number}") for number in range(100))))
    asyncio.run(plain.erase(tenant, "p0"))
    drill.back_up()
    drill.say("base backup taken: 100 people, 1 erased")
    asyncio.run(plain.write(tenant, *(event(f"q{number}") for number in range(50))))
    asyncio.run(plain.erase(tenant, "p1"))
    world.mkc("keys", "rotate", "--timeout-s", "60")
    drill.say("50 more people, p1 erased, epochs rotated, the old root key destroyed in keyring and escrow")
    asyncio.run(plain.write(tenant, *(event(f"r{number}") for number in range(10))))
    time.sleep(wait_s)
    world.kill("custodian")
    drill.lose()
    drill.say(f"database lost {wait_s:.0f} s after the rotation")

    drill.restore(with_wal=True)
    done = asyncio.run(recovered(cell))
    found = asyncio.run(readable(cell, tenant))
    drill.say(
        f"base + WAL + export: {found[0]} messages read, {found[1]} erased, {done.subjects} keys from the export"
    )
    _require(found == (158, 2) and done.lost == 0, "base, WAL and export do not give everything back")

    drill.stack.postgres.stop()
    drill.lose()
    drill.restore(with_wal=False)
    try:
        asyncio.run(readable(cell, tenant))
        raise DrillFailed("a base backup of before the rotation opens without an export")
    except KeyNotYetKnown:
        drill.say("base backup alone, the WAL archive lost as well: opens nothing")
    done = asyncio.run(recovered(cell))
    found = asyncio.run(readable(cell, tenant))
    drill.say(
        f"base + export: {found[0]} messages read, {found[1]} erased, {done.subjects} keys from the export"
    )
    _require(found == (98, 2) and done.lost == 0, "base and export do not give back what the base held")
    world.start(["custodian"])
    world.mkc("keys", "rotate", "--timeout-s", "60")
    _require(asyncio.run(readable(cell, tenant)) == (98, 2), "the recovered database does not rotate")
    drill.say("the custodian goes on: another rotation done, everything still reads")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise DrillFailed(otherwise)


STARTED = time.perf_counter()


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if the drill went well."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.drill_keys", description=__doc__)
    parser.add_argument("--wait-s", type=float, default=60, help="from the rotation to the loss (default 60)")
    options = parser.parse_args(arguments)
    root = Path(tempfile.mkdtemp(prefix="mkc-drill-keys-"))
    root.chmod(0o755)
    base = free_port_base()
    try:
        with (
            LocalStack(root, port_base=base, profile="test", secure=True) as stack,
            World.on(stack, base) as world,
        ):
            play(Drill(root, stack, world), options.wait_s)
    except DrillFailed as failed:
        print(f"FAILED: {failed}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print("ok: every message that must read reads, and nobody erased came back")
    return 0


if __name__ == "__main__":
    sys.exit(main())
