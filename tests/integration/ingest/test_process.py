"""The receiver as a process on a real Kafka: durable before 200, 503 in time, recovery without a restart, a drained end."""

import asyncio
import base64
import concurrent.futures
import hmac
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts import topics
from contracts.block import unpack
from contracts.errors import KeyNotYetKnown, TamperedRecord
from contracts.headers import MK_COUNT, MK_SIZE, index
from contracts.hybrid import HybridPrivateKey
from contracts.key_file import RAW_KEYS, REQUEST_KEYS, PublishedKey
from contracts.sealing import RecordOpener
from contracts.signing import RIGHTS_BY_PROCESS, KnownSigner, Signer
from deploy.local.environment import certificate_settings
from deploy.local.stack import Endpoints, LocalStack
from ingest import cli_post
from runtime.files import write_atomic
from runtime.kafka.topics import TopicAdmin, TopicSettings

REPOSITORY = Path(__file__).parents[3]
SECRET = b"canary-secret-5f0a"
TOKEN = b"canary-token-77c1"
CANARY = b"canary-body-9d31"
ROUTER = Signer.from_bytes("router", bytes(32))
CUSTODIAN = Signer.from_bytes("custodian", bytes(31) + b"\x01")
PAGE = "https://people.example/erasure"
INGEST = Signer.from_bytes("ingest", bytes(range(32)))
PRIVATE = HybridPrivateKey.generate()

Answer = tuple[int, dict[str, str], bytes]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Receiver:
    """`python -m ingest` with keys and apps of its own."""

    folder: Path
    endpoints: Endpoints
    port: int = field(default_factory=free_port)
    health_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        now = datetime.now(UTC)
        key = PublishedKey(
            public_key=base64.b64encode(PRIVATE.public.raw),
            active_from=now - timedelta(hours=1),
            seal_until=now + timedelta(hours=1),
        )
        write_atomic(self.folder / "signing.key", bytes(range(32)))
        write_atomic(self.folder / "router.pub", base64.b64encode(ROUTER.public_raw), mode=0o644)
        write_atomic(self.folder / "custodian.pub", base64.b64encode(CUSTODIAN.public_raw), mode=0o644)
        write_atomic(self.folder / "request_keys.json", REQUEST_KEYS.encode((key,), CUSTODIAN), mode=0o644)
        write_atomic(self.folder / "raw_keys.json", RAW_KEYS.encode((key,), ROUTER), mode=0o644)
        write_atomic(self.folder / "token", TOKEN + b"\n")
        self.use_secrets(old=SECRET)

    def use_secrets(self, **secrets: bytes) -> None:
        for name, secret in secrets.items():
            write_atomic(self.folder / f"{name}.secret", secret + b"\n")
        listed = [{"id": name, "file": f"{name}.secret"} for name in secrets]
        apps = {"apps": {"demo": {"secrets": listed, "verify_token_file": "token"}}}
        write_atomic(self.folder / "apps.json", json.dumps(apps).encode())

    def environment(self, **overrides: str) -> dict[str, str]:
        files = {
            "APPS_FILE": "apps.json",
            "SIGNING_KEY_FILE": "signing.key",
            "RAW_KEYS_FILE": "raw_keys.json",
            "ROUTER_KEY_FILE": "router.pub",
            "REQUEST_KEYS_FILE": "request_keys.json",
            "CUSTODIAN_KEY_FILE": "custodian.pub",
        }
        settings = {name: str(self.folder / file) for name, file in files.items()}
        settings |= {
            "ERASURE_PAGE_URL": PAGE,
            "KAFKA": self.endpoints.kafka,
            "PORT": str(self.port),
            "HEALTH_PORT": str(self.health_port),
        }
        return {
            "PATH": os.environ["PATH"],
            **certificate_settings(self.endpoints.authority, "ingest"),
            **{f"MKC_INGEST_{name}": value for name, value in (settings | overrides).items()},
        }

    def start(self, *, ready: bool = True, **overrides: str) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ingest"],
                cwd=REPOSITORY,
                env=self.environment(**overrides),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        eventually(lambda: self.health("/readyz" if ready else "/livez") == 200, 15)

    def run_to_end(self, **overrides: str) -> tuple[int, str]:
        ended = subprocess.run(
            [sys.executable, "-m", "ingest"],
            cwd=REPOSITORY,
            env=self.environment(**overrides),
            capture_output=True,
            timeout=15,
            check=False,
        )
        return ended.returncode, ended.stderr.decode()

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(20)
        self.process = None
        return code

    def health(self, path: str) -> int:
        try:
            return fetch(self.health_port, "GET", path)[0]
        except OSError:
            return 0

    def post(self, body: bytes, secret: bytes = SECRET, timeout_s: float = 6) -> Answer:
        headers = cli_post.meta_headers(body, secret)
        return fetch(self.port, "POST", "/webhooks/meta/demo", body, headers, timeout_s)

    def log(self) -> bytes:
        return (self.folder / "log").read_bytes()


def fetch(
    port: int,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    timeout_s: float = 6,
) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, dict(response.headers), response.read()
    except http.client.HTTPException as exc:
        raise ConnectionError from exc
    finally:
        connection.close()


def eventually(condition: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not become true in time"
        time.sleep(0.05)


def on_raw(endpoints: Endpoints) -> list[bytes]:
    """The bodies of every block on the raw topic that this receiver sealed."""
    opener = RecordOpener(
        lambda key_id: PRIVATE if key_id == PRIVATE.public.key_id else None,
        lambda name: KnownSigner(name, INGEST.public_raw, RIGHTS_BY_PROCESS["ingest"]),
    )

    async def read() -> list[bytes]:
        bodies: list[bytes] = []
        consumer = AIOKafkaConsumer(**endpoints.kafka_client("router"), max_partition_fetch_bytes=8 << 20)
        await consumer.start()
        try:
            partitions = [TopicPartition(topics.RAW, number) for number in range(4)]
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            ends = await consumer.end_offsets(partitions)
            for partition in partitions:
                while await consumer.position(partition) < ends[partition]:
                    fetched = await consumer.getmany(partition, timeout_ms=1_000)
                    for record in fetched.get(partition, []):
                        facts = index(record.headers)
                        try:
                            opened = opener.open(
                                topics.RAW,
                                record.value,
                                record.headers,
                                broker_time_s=record.timestamp / 1_000,
                            )
                        except (TamperedRecord, KeyNotYetKnown):
                            continue  # of another test's receiver; one of ours would be missed below
                        blocks = unpack(opened.plaintext, int(facts[MK_SIZE]), int(facts[MK_COUNT]))
                        bodies += [one.body for one in blocks]
            return bodies
        finally:
            await consumer.stop()

    return asyncio.run(read())


@contextmanager
def receiver_in(folder: Path, endpoints: Endpoints) -> Iterator[Receiver]:
    receiver = Receiver(folder, endpoints)
    receiver.prepare()
    try:
        yield receiver
    finally:
        if receiver.process is not None:
            receiver.process.kill()
            receiver.process.wait()


@pytest.fixture
def receiver(stack: LocalStack, tmp_path: Path) -> Iterator[Receiver]:
    tls = stack.endpoints.kafka_tls("custodian")

    async def fresh_topic() -> None:
        async with TopicAdmin(stack.endpoints.kafka, TopicSettings(), tls) as admin:
            await admin.ensure([topics.BY_NAME[topics.RAW]])

    asyncio.run(fresh_topic())
    with receiver_in(tmp_path, stack.endpoints) as prepared:
        yield prepared


def ours(endpoints: Endpoints, mark: bytes) -> list[bytes]:
    return sorted(body for body in on_raw(endpoints) if mark in body)


@pytest.mark.kafka
def test_every_200_is_on_the_raw_topic_once_readable_only_with_the_key(receiver: Receiver) -> None:
    mark = os.urandom(8).hex().encode()
    receiver.start()
    bodies = [b'{"object":"page","entry":[{"id":"%d"}],"m":"%s"}' % (n % 7, mark) for n in range(200)]
    bodies = [body + b" " * n for n, body in enumerate(bodies)]
    bodies.append(mark + os.urandom(4 * 1_048_576 - len(mark)))
    bodies.append(b"not json " + mark)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(receiver.post, bodies))
    assert [status for status, _, _ in answers] == [200] * len(bodies)
    assert ours(receiver.endpoints, mark) == sorted(bodies)
    assert receiver.post(b"x" * (4 * 1_048_576 + 1))[0] == 413
    assert receiver.stop() == 0


@pytest.mark.kafka
def test_a_secret_is_rotated_while_it_runs(receiver: Receiver) -> None:
    new = b"another-secret"
    receiver.start()
    assert receiver.post(CANARY)[0] == 200
    assert receiver.post(CANARY, new)[0] == 401
    receiver.use_secrets(new=new, old=SECRET)
    eventually(lambda: receiver.post(CANARY, new)[0] == 200, 4)
    assert receiver.post(CANARY)[0] == 200
    receiver.use_secrets(new=new)
    eventually(lambda: receiver.post(CANARY)[0] == 401, 4)
    (receiver.folder / "apps.json").write_bytes(b"{half")
    time.sleep(1.5)
    assert receiver.post(CANARY, new)[0] == 200
    page = fetch(receiver.health_port, "GET", "/metrics")[2]
    assert b'mk_ingest_secret_matches_total{app="demo",secret_id="new"}' in page
    assert b"file.refused" in receiver.log()


@pytest.mark.kafka
def test_while_kafka_is_dead_the_answer_is_503_in_time_and_it_recovers_without_a_restart(
    receiver: Receiver, stack: LocalStack
) -> None:
    mark = os.urandom(8).hex().encode()
    receiver.start()
    assert receiver.process is not None
    pid = receiver.process.pid
    assert receiver.post(b"before " + mark)[0] == 200
    stack.kafka.kill()
    try:

        def refused_in_time(number: int) -> float:
            started = time.monotonic()
            status, headers, body = receiver.post(b"during %d " % number + mark)
            assert (status, headers["Retry-After"], body) == (503, "5", b'{"error":"overloaded"}')
            return time.monotonic() - started

        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            assert max(pool.map(refused_in_time, range(24))) < 4
        assert max(map(refused_in_time, range(24, 30))) < 4
        query = f"?hub.mode=subscribe&hub.challenge=42&hub.verify_token={TOKEN.decode()}"
        assert fetch(receiver.port, "GET", "/webhooks/meta/demo" + query)[::2] == (200, b"42")
        eventually(lambda: receiver.health("/readyz") == 503, 3)
    finally:
        stack.kafka.start()
    eventually(lambda: receiver.post(b"after " + mark)[0] == 200, 20)
    eventually(lambda: receiver.health("/readyz") == 200, 5)
    assert receiver.process.poll() is None
    assert receiver.process.pid == pid
    stored = ours(receiver.endpoints, mark)
    assert stored.count(b"before " + mark) == 1
    assert b"after " + mark in stored
    assert receiver.stop() == 0


def test_without_kafka_it_starts_answers_handshakes_and_says_503(tmp_path: Path) -> None:
    with receiver_in(tmp_path, Endpoints(f"127.0.0.1:{free_port()}", "")) as receiver:
        receiver.start(ready=False)
        query = f"?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={TOKEN.decode()}"
        assert fetch(receiver.port, "GET", "/webhooks/meta/demo" + query)[::2] == (200, b"1158201444")
        status, headers, _ = receiver.post(CANARY)
        assert (status, headers["Retry-After"]) == (503, "5")
        assert json.loads(fetch(receiver.health_port, "GET", "/readyz")[2])["kafka"] is False
        assert receiver.stop() == 0


@pytest.mark.kafka
def test_without_the_routers_key_nothing_is_accepted_until_it_is_there(receiver: Receiver) -> None:
    keys = receiver.folder / "raw_keys.json"
    content = keys.read_bytes()
    keys.unlink()
    receiver.start(ready=False)
    eventually(lambda: b'"kafka":true' in fetch(receiver.health_port, "GET", "/readyz")[2], 10)
    assert receiver.health("/readyz") == 503
    assert receiver.post(CANARY)[0] == 503
    forged = RAW_KEYS.encode((), Signer.from_bytes("router", b"\x01" * 32))
    write_atomic(keys, forged)
    time.sleep(1.3)
    assert receiver.post(CANARY)[0] == 503
    write_atomic(keys, content)
    eventually(lambda: receiver.post(CANARY)[0] == 200, 4)


@pytest.mark.kafka
def test_sigterm_answers_what_is_under_way_and_keeps_every_200(receiver: Receiver) -> None:
    mark = os.urandom(8).hex().encode()
    receiver.start()
    promised: list[bytes] = []

    def post_until_it_ends(worker: int) -> None:
        for number in range(100_000):
            body = b"%s %d %d" % (mark, worker, number)
            try:
                status, _, _ = receiver.post(body)
            except OSError:
                return
            assert status in (200, 503)
            if status == 200:
                promised.append(body)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        workers = [pool.submit(post_until_it_ends, worker) for worker in range(8)]
        time.sleep(1)
        assert receiver.stop() == 0
        for worker in workers:
            worker.result()
    assert len(promised) > 50
    assert set(promised) <= set(ours(receiver.endpoints, mark))
    assert b'"outcome":"complete"' in receiver.log()


@pytest.mark.kafka
def test_no_log_line_and_no_metric_shows_a_body_a_signature_or_a_secret(receiver: Receiver) -> None:
    receiver.start()
    assert receiver.post(CANARY)[0] == 200
    assert receiver.post(CANARY, b"wrong")[0] == 401
    fetch(receiver.port, "PUT", "/webhooks/meta/demo?" + CANARY.decode(), CANARY)
    with socket.create_connection(("127.0.0.1", receiver.port)) as client:
        client.sendall(b"BAD " + CANARY + b"\r\n" + CANARY + b": \x00\r\n\r\n")
        client.recv(4096)
    page = fetch(receiver.health_port, "GET", "/metrics")[2]
    assert receiver.stop() == 0
    shown = receiver.log() + page
    assert b"ingest.started" in shown
    for secret in (SECRET, b"wrong", TOKEN):
        assert hmac.digest(secret, CANARY, "sha256").hex().encode() not in shown
    assert b"canary" not in shown


def test_unusable_settings_are_one_line_that_names_the_setting_and_never_its_value(tmp_path: Path) -> None:
    with receiver_in(tmp_path, Endpoints("127.0.0.1:1", "")) as receiver:
        for setting, overrides in {
            "MKC_INGEST_PROT": {"PROT": "canary"},
            "MKC_INGEST_APPS_FILE": {"APPS_FILE": str(tmp_path / "canary")},
        }.items():
            code, said = receiver.run_to_end(**overrides)
            assert (code, said.count("\n")) == (2, 1), said
            assert setting in said
            assert "canary" not in said
        (tmp_path / "old.secret").chmod(0o644)
        code, said = receiver.run_to_end()
        assert code == 2
        assert "MKC_INGEST_APPS_FILE" in said
        assert "0600" in said


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with receiver_in(tmp_path, Endpoints("127.0.0.1:1", "")) as receiver, socket.socket() as taken:
        taken.bind(("127.0.0.1", receiver.port))
        taken.listen()
        code, said = receiver.run_to_end()
        assert code == 2
        assert [line for line in said.splitlines() if line.startswith("ingest: ")] == [
            f"ingest: MKC_INGEST_PORT: port {receiver.port} is in use; stop what uses it or choose another"
        ]


@pytest.mark.kafka
def test_another_number_of_partitions_than_kafka_has_stops_it(receiver: Receiver) -> None:
    code, said = receiver.run_to_end(RAW_PARTITIONS="7")
    assert code == 2
    assert "MKC_INGEST_RAW_PARTITIONS" in said


@pytest.mark.kafka
def test_mkc_post_signs_posts_and_sums_up(receiver: Receiver, tmp_path: Path) -> None:
    receiver.start()
    bodies = tmp_path / "bodies"
    (bodies / "deep").mkdir(parents=True)
    (bodies / "a.json").write_bytes(b"{}")
    (bodies / "deep" / "b.json").write_bytes(b"[]")

    def post(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "runtime.mkc", "post", *arguments],
            cwd=REPOSITORY,
            env={
                "PATH": os.environ["PATH"],
                "MKC_LOCAL_ENV": "/nowhere",
                "MKC_POST_URL": f"http://127.0.0.1:{receiver.port}",
                "MKC_POST_APPS_FILE": str(receiver.folder / "apps.json"),
            },
            capture_output=True,
            check=False,
        )

    done = post(str(bodies), "--app", "demo", "--repeat", "3", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == {"200": 6}
    refused = post(str(bodies / "a.json"), "--app", "nobody", "--json")
    assert refused.returncode == 2
    assert b"--app" in refused.stderr
    receiver.stop()
    away = post(str(bodies / "a.json"), "--app", "demo")
    assert away.returncode == 1
    assert b"no_answer" in away.stdout
