"""Looks for canaries in every byte that is kept: files, what Kafka's batches unpack to, tables, processes, temporary files.

Findings name a place and a form, never what stands there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from struct import Struct
from typing import Final

import cramjam

from deploy.local.demo.checks import content_of, contents_of
from tests.support.forms import Wanted
from tests.support.world import World

_BATCH: Final = Struct(">qiibIh")
"""Base offset, length, leader epoch, magic, CRC, attributes: the start of a batch (KIP-98)."""
_BATCH_HEAD: Final = 61
_UNPACK: Final[dict[int, Callable[[bytes], cramjam.Buffer]]] = {
    1: cramjam.gzip.decompress,
    3: cramjam.lz4.decompress,
    4: cramjam.zstd.decompress,
}


def in_files(folders: Iterable[Path], wanted: Wanted) -> tuple[int, list[str]]:
    """Bytes searched, and `file: what as which form` for each finding."""
    searched, found = 0, []
    for path, content in contents_of(folders):
        searched += len(content)
        found += [f"{path}: {what}" for what in wanted.found_in(content)]
    return searched, found


def in_batches(folder: Path, wanted: Wanted) -> tuple[int, list[str]]:
    """How many batches Kafka's segments under `folder` hold, and what stands in those that were compressed."""
    count, found = 0, []
    for path in sorted(folder.rglob("*.log*")):
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue  # retention removed it meanwhile
        at = 0
        while at + _BATCH_HEAD <= len(content):
            _, length, _, magic, _, attributes = _BATCH.unpack_from(content, at)
            end = at + 12 + length
            if magic != 2 or length < _BATCH_HEAD - 12 or end > len(content):
                break
            count += 1
            codec = attributes & 7
            if codec:
                records = bytes(_UNPACK[codec](content[at + _BATCH_HEAD : end]))
                found += [f"{path} at {at}: {what}" for what in wanted.found_in(records)]
            at = end
    return count, found


def in_tables(world: World, wanted: Wanted) -> tuple[int, list[str]]:
    """How many rows the database has, and what stands in one as SQL shows it: long values lie compressed in the files."""
    count, found = 0, []
    tables = world.sql(
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
        " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    )
    for table in tables:
        for row in world.sql(f"SELECT shown::text AS shown FROM {table['name']} AS shown"):
            count += 1
            found += [f"{table['name']}: {what}" for what in wanted.found_in(row["shown"].encode())]
    return count, found


def in_processes(wanted: Wanted) -> tuple[int, list[str]]:
    """How many processes of this machine were looked at (environment and title), and what stands there."""
    count, found = 0, []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            content = (process / "environ").read_bytes() + b"\0" + (process / "cmdline").read_bytes()
        except OSError:
            continue  # it ended, or is somebody else's
        count += 1
        found += [f"{process}: {what}" for what in wanted.found_in(content)]
    return count, found


def in_open_files(pids: Iterable[int], wanted: Wanted, but: Iterable[Path] = ()) -> tuple[int, list[str]]:
    """How many files these processes hold open outside `but`, deleted ones too, and what stands in them."""
    count, found = 0, []
    skipped = tuple(str(folder) for folder in but)
    for pid in pids:
        for entry in _entries(Path(f"/proc/{pid}/fd")):
            try:
                target, mode = os.readlink(entry), entry.stat().st_mode
                if not stat.S_ISREG(mode) or target.startswith(skipped):
                    continue
                content = content_of(entry)
            except OSError:
                continue
            count += 1
            found += [f"{target} of {pid}: {what}" for what in wanted.found_in(content)]
    return count, found


def in_temporary_files(folder: Path, since: float, wanted: Wanted) -> tuple[int, list[str]]:
    """How many files lie in a folder for temporary ones that were written after `since` (Unix seconds), not deeper."""
    count, found = 0, []
    for path in _entries(folder):
        try:
            told = path.lstat()
            if not stat.S_ISREG(told.st_mode) or told.st_mtime < since:
                continue
            content = content_of(path)
        except OSError:
            continue
        count += 1
        found += [f"{path}: {what}" for what in wanted.found_in(content)]
    return count, found


def in_text(text: str, wanted: Wanted) -> list[str]:
    """What stands in a text."""
    return wanted.found_in(text.encode())


def family(pid: int) -> list[int]:
    """A process and all that it started."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(one for child in children for one in family(int(child)))]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
