"""A real base backup of the run's PostgreSQL, and putting it in the place of the living one. Without WAL: what came after is lost."""

import os
import shutil
import subprocess
from pathlib import Path

from deploy.local.postgres_binaries import binaries, server_user
from deploy.local.stack import LocalStack


class BaseBackup:
    """One backup of the whole cluster in a folder of its own."""

    def __init__(self, stack: LocalStack, folder: Path) -> None:
        self._stack, self.folder = stack, folder
        self._user = server_user()

    def take(self) -> None:
        """With `pg_basebackup`, while the server goes on; as ourselves: the server's own user may not read the password."""
        program = binaries(self._stack.postgres.version, self._user) / "pg_basebackup"
        command = [str(program), "-w", "-d", self._stack.dsn("postgres"), "-D", str(self.folder)]
        subprocess.run([*command, "-X", "stream", "-c", "fast"], check=True, cwd="/", timeout=60)

    def put_back(self) -> None:
        """Kill the server, remove every byte of it, lay the backup in its place and start it. Can be done again."""
        if self._stack.postgres.is_running():
            self._stack.postgres.kill()
        shutil.rmtree(self._stack.postgres.data_dir)
        self.lay_down()
        self._stack.postgres.start()

    def lay_down(self) -> Path:
        """A copy of the backup as the server's data directory, which must not be there; the directory."""
        data = self._stack.postgres.data_dir
        shutil.copytree(self.folder, data)
        if self._user is not None:
            for path in (data, *data.rglob("*")):
                os.chown(path, *self._user)
        data.chmod(0o700)
        return data
