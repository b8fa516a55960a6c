"""The local stack itself: it starts, re-uses, survives, says clearly what is wrong, and leaves nothing behind."""

import asyncio
import gc
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local.errors import LocalStackError
from deploy.local.kafka_libs import DEFAULT_VERSION, ensure_libs
from deploy.local.kafka_node import new_cluster_id
from deploy.local.postgres_binaries import outside_folder, server_user
from deploy.local.postgres_node import PostgresNode
from deploy.local.process import NodeRecord, ProcessIdentity
from deploy.local.stack import DEFAULT_CACHE, REPOSITORY, LocalStack

pytestmark = [pytest.mark.stack, pytest.mark.kafka, pytest.mark.postgres]

CANARY = "canary-7f3a"


def free_port_base() -> int:
    """A base whose ports nobody listens on, away from the default one and below the ephemeral ports."""
    bases = list(range(23_000, 32_000, 400))
    # In random order, so that two runs at the same time on one machine hardly ever choose the same.
    random.shuffle(bases)
    for base in bases:
        try:
            for port in (base + 2, base + 3, base + 342):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return base
    raise AssertionError("no free port base")


@pytest.fixture(scope="module", autouse=True)
def local_servers_only() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MKC_KAFKA", "MKC_POSTGRES", "MKC_PORT_BASE"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    # Not tmp_path: the database's user cannot pass pytest's own folder.
    folder = Path(tempfile.mkdtemp(prefix="mkchannels-stack-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def started(root: Path) -> Iterator[LocalStack]:
    with LocalStack(root, port_base=free_port_base(), profile="test") as stack:
        yield stack


@pytest.fixture
def stack(started: LocalStack) -> LocalStack:
    """The module's stack, brought back if a test before left a node down."""
    started.start()
    return started


async def query(dsn: str, sql: str, *arguments: object) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(sql, *arguments)
    finally:
        await connection.close()


def eventually_gone(process: ProcessIdentity) -> bool:
    return process.wait_gone(20)


def test_clients_are_answered_and_the_database_is_durable(stack: LocalStack) -> None:
    settings = asyncio.run(
        query(
            stack.endpoints.postgres,
            "SELECT name, setting FROM pg_settings WHERE name IN "
            "('fsync', 'synchronous_commit', 'full_page_writes', 'data_checksums', 'wal_level')",
        )
    )
    assert {row["name"]: row["setting"] for row in settings} == {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "wal_level": "replica",
    }
    assert stack.kafka.answers()
    assert stack.postgres.answers()


def test_what_kafka_acknowledged_survives_kill_minus_nine(stack: LocalStack) -> None:
    async def write() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka.bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic("survives", num_partitions=1, replication_factor=1)])
        await admin.close()
        async with AIOKafkaProducer(bootstrap_servers=stack.kafka.bootstrap, acks="all") as producer:
            for number in range(100):
                await producer.send_and_wait("survives", str(number).encode())

    async def read() -> list[int]:
        async with AIOKafkaConsumer(
            bootstrap_servers=stack.kafka.bootstrap, auto_offset_reset="none"
        ) as consumer:
            partition = TopicPartition("survives", 0)
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            values: list[int] = []
            async with asyncio.timeout(20):
                while len(values) < 100:
                    batches = await consumer.getmany(partition, timeout_ms=200)
                    values += [int(record.value) for record in batches.get(partition, [])]
            return values

    asyncio.run(write())
    before = stack.kafka.pid
    stack.kafka.kill()
    assert not stack.kafka.answers()
    stack.kafka.start()
    assert stack.kafka.pid != before
    assert asyncio.run(read()) == list(range(100))


def test_what_postgres_committed_survives_kill_minus_nine(stack: LocalStack) -> None:
    dsn = stack.endpoints.postgres
    asyncio.run(query(dsn, "CREATE TABLE survives AS SELECT generate_series(1, 100) AS number"))
    before = stack.postgres.pid
    stack.postgres.kill()
    assert not stack.postgres.answers()
    stack.postgres.start()
    assert stack.postgres.pid != before
    rows = asyncio.run(query(dsn, "SELECT number FROM survives ORDER BY number"))
    assert [row["number"] for row in rows] == list(range(1, 101))


@pytest.mark.parametrize("name", ["kafka", "postgres"])
def test_a_suspended_node_answers_nobody_until_it_resumes(stack: LocalStack, name: str) -> None:
    node = stack.kafka if name == "kafka" else stack.postgres
    node.pause()
    try:
        assert not node.answers(timeout_s=0.5)
        gc.collect()  # a connection that the question left open would be told of now
    finally:
        node.resume()
    assert node.answers(timeout_s=10)


def test_an_open_session_of_a_suspended_postgres_hangs(stack: LocalStack) -> None:
    async def ask_while_suspended() -> int:
        connection = await asyncpg.connect(stack.endpoints.postgres)
        stack.postgres.pause()
        answer = asyncio.ensure_future(connection.fetchval("SELECT 1"))
        try:
            done, _ = await asyncio.wait([answer], timeout=0.5)
            assert not done
        finally:
            stack.postgres.resume()
        value = await answer
        await connection.close()
        return int(value)

    assert asyncio.run(ask_while_suspended()) == 1


def test_no_row_value_reaches_the_servers_log(stack: LocalStack) -> None:
    async def provoke() -> None:
        connection = await asyncpg.connect(stack.endpoints.postgres)
        await connection.execute(
            "CREATE TABLE quiet (value text PRIMARY KEY, number integer CHECK (number > 0))"
        )
        await connection.execute("INSERT INTO quiet VALUES ($1, 1)", CANARY)
        failures: list[Callable[[], Awaitable[object]]] = [
            lambda: connection.execute("INSERT INTO quiet VALUES ($1, 1)", CANARY),
            lambda: connection.execute("INSERT INTO quiet VALUES ($1, -1)", CANARY + "-2"),
            lambda: connection.execute(f"SELECT '{CANARY}'::uuid"),
            lambda: connection.fetch("SELECT ($1::text)::integer", CANARY),
            lambda: connection.execute(f"SELECT '{CANARY}' FROM nowhere"),
            lambda: connection.execute(
                f"DO $$ BEGIN RAISE WARNING '{CANARY}'; RAISE EXCEPTION '{CANARY}'; END $$"
            ),
        ]
        for failure in failures:
            with pytest.raises(asyncpg.PostgresError):
                await failure()
        await connection.close()

    asyncio.run(provoke())
    log = stack.postgres.log_path.read_text()
    assert "database system is ready to accept connections" in log
    assert CANARY not in log


def test_a_second_start_on_the_same_root_reuses_the_nodes(stack: LocalStack) -> None:
    pids = (stack.kafka.pid, stack.postgres.pid)
    stack.start()
    assert (stack.kafka.pid, stack.postgres.pid) == pids


def test_a_run_that_joins_a_living_stack_does_not_stop_it(stack: LocalStack, root: Path) -> None:
    pids = (stack.kafka.pid, stack.postgres.pid)
    base = int(stack.kafka.bootstrap.rpartition(":")[2]) - 2
    script = (
        "import sys; from pathlib import Path; from deploy.local.stack import LocalStack\n"
        "with LocalStack(Path(sys.argv[1]), port_base=int(sys.argv[2]), profile='test') as stack:\n"
        "    print(stack.kafka.pid, stack.postgres.pid)"
    )
    arguments = [sys.executable, "-c", script, str(root), str(base)]
    result = subprocess.run(arguments, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert result.stdout.split() == [str(pid) for pid in pids]
    assert (stack.kafka.pid, stack.postgres.pid) == pids


@pytest.fixture
def own_root() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="mkchannels-own-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize(("offset", "name"), [(2, "kafka"), (3, "kafka"), (342, "postgres")])
def test_a_busy_port_is_named_with_the_setting_that_moves_it(own_root: Path, offset: int, name: str) -> None:
    base = free_port_base()
    stack = LocalStack(own_root, port_base=base)
    with socket.socket() as other:
        other.bind(("127.0.0.1", base + offset))
        other.listen()
        with pytest.raises(LocalStackError) as caught:
            stack.start()
    assert str(caught.value).startswith(f"Port {base + offset}, wanted for {name}, is in use")
    assert "MKC_PORT_BASE" in str(caught.value)
    # Nothing half-started stays behind.
    assert not list((own_root / "run").glob("*.pid"))


def test_the_nodes_end_with_an_owner_that_was_killed(own_root: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from deploy.local.stack import LocalStack\n"
        "LocalStack(Path(sys.argv[1]), port_base=int(sys.argv[2])).start()\n"
        "print('ready', flush=True); time.sleep(600)"
    )
    arguments = [sys.executable, "-c", script, str(own_root), str(free_port_base())]
    with subprocess.Popen(arguments, cwd=REPOSITORY, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        records = [NodeRecord.read(own_root / "run" / f"{name}.pid") for name in ("kafka", "postgres")]
        owner.send_signal(signal.SIGKILL)
    for record in records:
        assert record is not None
        assert eventually_gone(record.process)


def test_a_pid_file_that_now_means_another_process_harms_nobody_and_a_lost_one_keeps_nobody_alive(
    own_root: Path,
) -> None:
    with subprocess.Popen(["sleep", "600"]) as stranger:
        try:
            identity = ProcessIdentity.of(stranger.pid)
            stale = ProcessIdentity(identity.pid, identity.boot_id, identity.start_ticks - 1)
            (own_root / "run").mkdir()
            NodeRecord(stale, "other", int(signal.SIGKILL)).write(own_root / "run" / "postgres.pid")
            node = PostgresNode(own_root, port=free_port_base() + 342, version="18")
            node.start()
            assert stranger.poll() is None
            started = ProcessIdentity.of(node.pid)
            (own_root / "run" / "postgres.pid").unlink()
            node.stop()
            assert not started.is_alive()
        finally:
            stranger.kill()


@pytest.mark.skipif(server_user() is None, reason="only root has to run the database as somebody else")
def test_a_root_that_the_databases_user_cannot_reach_works_too(tmp_path: Path) -> None:
    root = tmp_path / "closed"
    (root / "run").mkdir(parents=True)
    root.chmod(0o700)
    node = PostgresNode(root, port=free_port_base() + 342, version="18")
    try:
        node.start()
        assert outside_folder(root) in node.data_dir.parents
        assert node.answers()
    finally:
        node.stop()
        shutil.rmtree(outside_folder(root), ignore_errors=True)


def test_a_jar_that_is_not_the_locked_one_is_refused(tmp_path: Path) -> None:
    genuine = ensure_libs(DEFAULT_CACHE, DEFAULT_VERSION)
    libs = tmp_path / f"kafka-{DEFAULT_VERSION}" / "libs"
    libs.mkdir(parents=True)
    jars = sorted(genuine.iterdir())
    for jar in jars:
        (libs / jar.name).symlink_to(jar)
    assert ensure_libs(tmp_path, DEFAULT_VERSION) == libs
    (libs / jars[0].name).unlink()
    (libs / jars[0].name).write_bytes(jars[0].read_bytes() + b"\0")
    with pytest.raises(LocalStackError, match="are not the ones locked"):
        ensure_libs(tmp_path, DEFAULT_VERSION)


def test_a_cluster_id_never_looks_like_an_option() -> None:
    assert not [
        cluster_id for cluster_id in (new_cluster_id() for _ in range(2000)) if cluster_id.startswith("-")
    ]


def test_missing_java_is_one_line_with_the_package_to_install(
    own_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(own_root / "nowhere"))
    with pytest.raises(LocalStackError, match="apt-get install openjdk-17-jre-headless"):
        LocalStack(own_root, port_base=free_port_base()).start()


def test_named_servers_are_used_and_none_is_started(
    stack: LocalStack, own_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MKC_KAFKA", stack.endpoints.kafka)
    monkeypatch.setenv("MKC_POSTGRES", stack.endpoints.postgres)
    other = LocalStack(own_root, port_base=free_port_base())
    assert other.start() == stack.endpoints
    assert other.dsn("else") == stack.dsn("else")
    with pytest.raises(LocalStackError, match="MKC_KAFKA names"):
        _ = other.kafka
    other.stop()
    assert not list((own_root / "run").glob("*.pid"))
    assert stack.kafka.answers()
    assert stack.postgres.answers()


def test_a_named_server_that_does_not_answer_is_reported(
    own_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MKC_POSTGRES", f"postgresql://postgres:secret@127.0.0.1:{free_port_base()}/postgres")
    with pytest.raises(LocalStackError, match="at MKC_POSTGRES") as caught:
        LocalStack(own_root, port_base=free_port_base()).start()
    assert "secret" not in str(caught.value)


def test_the_environment_of_the_caller_does_not_reach_the_servers(stack: LocalStack) -> None:
    os.environ["MKC_TEST_SECRET"] = CANARY
    try:
        stack.postgres.stop()
        stack.postgres.start()
        environment = Path(f"/proc/{stack.postgres.pid}/environ").read_bytes()
    finally:
        del os.environ["MKC_TEST_SECRET"]
    assert CANARY.encode() not in environment
