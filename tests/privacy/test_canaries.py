"""Every personal field of every event type, posted through the real stack with faults on the way, stands nowhere in the clear."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from contracts.events.registry import EVENT_TYPES
from contracts.topics import LEDGER
from deploy.local.stack import LocalStack
from runtime.kafka.batch import header
from runtime.kafka.clients import Producer, acknowledged
from tests.privacy.scene import Scene, passing_types, played, stored_types
from tests.support import scan
from tests.support.forms import Wanted
from tests.support.world import World

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


@pytest.fixture(scope="module")
def scene(world: World) -> Scene:
    """Played once."""
    return played(world)


def test_every_event_type_became_a_row_and_opens_with_its_key(scene: Scene) -> None:
    assert stored_types(scene) == set(EVENT_TYPES)
    assert set(EVENT_TYPES) - scene.types_of_meta <= passing_types()
    assert len(passing_types()) < 12
    assert scene.world.dead() == set()
    read = str(scene.world.messages(scene.tenant))
    assert all(core in read for core in (scene.canaries.text_core, scene.canaries.digits_core))
    reasons = scene.ledger["tenants"]
    assert {reason for one in reasons.values() for reason in one["quarantined_by_reason"]} >= {
        "time_out_of_range",
        "not_json",
        "contract_violation",
    }


def test_no_file_of_kafka_or_postgres_no_log_and_no_file_of_the_service_holds_one(scene: Scene) -> None:
    # What is still in memory only is written out, so that it is searched too.
    scene.world.sql("CHECKPOINT", database="postgres")
    searched, found = scan.in_files(scene.folders, scene.wanted)
    assert searched > 10_000_000
    assert found == []


def test_no_batch_of_kafkas_holds_one_once_it_is_unpacked(scene: Scene) -> None:
    count, found = scan.in_batches(scene.world.stack.kafka.data_dir, scene.wanted)
    assert count > 100
    assert found == []


def test_no_row_of_any_table_holds_one_as_sql_shows_it(scene: Scene) -> None:
    count, found = scan.in_tables(scene.world, scene.wanted)
    assert count > len(EVENT_TYPES)
    assert found == []
    # The files were searched as they are: nothing of the WAL is compressed.
    assert scene.world.sql("SHOW wal_compression")[0][0] == "off"


def test_no_page_of_any_process_held_one_before_during_and_after_a_fault(scene: Scene) -> None:
    assert len(scene.pages) > 20
    assert [f"{name}: {what}" for name, page in scene.pages for what in scene.wanted.found_in(page)] == []


def test_no_environment_title_open_file_or_temporary_file_holds_one(scene: Scene) -> None:
    count, found = scan.in_processes(scene.wanted)
    assert count >= len(scene.pids)
    assert found == []
    assert scan.in_open_files(scene.pids, scene.wanted, but=scene.folders)[1] == []
    for folder in (Path(tempfile.gettempdir()), Path("/dev/shm"), Path("/var/tmp")):
        assert scan.in_temporary_files(folder, scene.began, scene.wanted)[1] == []


def test_what_operators_commands_print_of_the_clear_side_holds_none(scene: Scene) -> None:
    for command in (
        ("tenant", "list"),
        ("account", "list"),
        ("ledger",),
        ("quarantine", "list"),
        ("events", scene.tenant.name),
        ("doctor",),
    ):
        _, output, errors = scene.world.mkc_raw(*command)
        assert scan.in_text(output + errors, scene.wanted) == [], command


FORMS: dict[str, Callable[[str], bytes]] = {
    "plain": str.encode,
    "JSON": lambda text: text.encode("ascii", "backslashreplace").replace(b"\\x", b"\\u00"),
    "UTF-16 LE": lambda text: text.encode("utf-16-le"),
    "UTF-16 BE": lambda text: text.encode("utf-16-be"),
    "hex": lambda text: text.encode().hex().encode(),
    "HEX": lambda text: text.encode().hex().upper().encode(),
    "Base64": lambda text: b64encode(text.encode()),
    "Base64, one byte later": lambda text: b64encode(b"x" + text.encode() + b"y"),
    "Base64, two bytes later": lambda text: b64encode(b"xy" + text.encode()),
    "URL": lambda text: quote(text).encode(),
    "URL, every byte": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()).encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_search_finds_a_planted_one_in_each_form(form: str, tmp_path: Path) -> None:
    planted, other = "canário-plantado-3e8d", "canário-plantada-3e8d"
    (tmp_path / "file").write_bytes(b"\0" * 3_000_000 + b"noise " + FORMS[form](planted) + b" noise")
    assert scan.in_files([tmp_path], Wanted([planted]))[1]
    (tmp_path / "file").write_bytes(b"noise " + FORMS[form](other) + b" noise")
    assert scan.in_files([tmp_path], Wanted([planted]))[1] == []


def test_the_search_finds_a_planted_one_in_each_place(
    scene: Scene, stack: LocalStack, tmp_path: Path
) -> None:
    planted, world = "canário-plantado-3e8d", scene.world
    wanted = Wanted([planted])

    async def produce() -> None:
        tls = stack.endpoints.kafka_tls()
        producer = Producer(stack.endpoints.kafka, "planter", tls=tls)
        await producer.start()
        try:
            record = (b"", planted.encode() * 9, (header("planted", planted.encode()),), 1)
            _, acknowledgement = await producer.send_batch(LEDGER, 0, [record])  # Compressed, as events are.
            await acknowledged(acknowledgement)
        finally:
            await producer.stop()

    asyncio.run(produce())
    world.sql(f"CREATE TABLE public.planted AS SELECT '{planted}'::text AS value")
    world.sql("CHECKPOINT", database="postgres")
    log, temporary = world.service.run_dir / "planted.log", Path(tempfile.gettempdir()) / "mkc-planted"
    log.write_text(planted)
    temporary.write_text(planted)
    try:
        places = scan.in_files(scene.folders, wanted)[1]
        assert any("/base/" in place for place in places)
        assert any("/pg_wal/" in place for place in places)
        assert any("planted.log" in place for place in places)
        assert scan.in_tables(world, wanted)[1]
        assert any(LEDGER in place for place in scan.in_batches(stack.kafka.data_dir, wanted)[1])
        assert scan.in_temporary_files(temporary.parent, scene.began, wanted)[1]
        assert scan.in_text(f"page {planted}", wanted)
        with log.open():
            assert scan.in_open_files([_own_pid()], wanted)[1]
        with ExitStack() as waiting:
            pids = [
                waiting.enter_context(place(form))
                for make in FORMS.values()
                for place in (in_environment, in_title)
                # No environment and no title can hold the zeros of UTF-16.
                if 0 not in (form := make(planted))
            ]
            assert len(pids) == 18
            told = scan.in_processes(wanted)[1]
            assert [pid for pid in pids if not any(f"/proc/{pid}:" in place for place in told)] == []
    finally:
        log.unlink()
        temporary.unlink()
        world.sql("DROP TABLE public.planted")


def test_the_search_finds_no_other_text_in_a_process() -> None:
    wanted = Wanted(["canário-plantado-3e8d"])
    with in_title("canário-plantada-3e8d".encode()) as pid:
        assert [place for place in scan.in_processes(wanted)[1] if f"/proc/{pid}:" in place] == []


@contextmanager
def in_environment(content: bytes) -> Iterator[int]:
    """A process that has it in a variable of its environment; its pid."""
    with _waiting([], {b"PLANTED": content}) as pid:
        yield pid


@contextmanager
def in_title(content: bytes) -> Iterator[int]:
    """A process that has it among its arguments."""
    with _waiting([content], {}) as pid:
        yield pid


@contextmanager
def _waiting(arguments: list[bytes], environment: dict[bytes, bytes]) -> Iterator[int]:
    # It ends when its input does.
    process = subprocess.Popen(
        [b"/bin/sh", b"-c", b"read _", *arguments], env=environment, stdin=subprocess.PIPE
    )
    try:
        yield process.pid
    finally:
        process.communicate()


def _own_pid() -> int:
    return int(Path("/proc/self").readlink().name)
