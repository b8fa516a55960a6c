"""The receiver as a process of its own on a real Kafka, with keys and apps made here; and what lies on the topics it writes."""

import asyncio
import base64
import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

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
from deploy.local.stack import Endpoints
from ingest import cli_post
from runtime.files import write_atomic
from tests.support.servers import free_port

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
        eventually(lambda: self.health("/readyz" if ready else "/livez") == 200)

    def run_to_end(self, **overrides: str) -> tuple[int, str]:
        ended = subprocess.run(
            [sys.executable, "-m", "ingest"],
            cwd=REPOSITORY,
            env=self.environment(**overrides),
            capture_output=True,
            timeout=60,
            check=False,
        )
        return ended.returncode, ended.stderr.decode()

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.process = None
        return code

    def health(self, path: str) -> int:
        try:
            return fetch(self.health_port, "GET", path)[0]
        except OSError:
            return 0

    def post(self, body: bytes, secret: bytes = SECRET, timeout_s: float = 20) -> Answer:
        headers = cli_post.meta_headers(body, secret)
        return fetch(self.port, "POST", "/webhooks/meta/demo", body, headers, timeout_s)

    def looked_at_everything(self) -> None:
        """Every file that may change was looked at since the call: of a second change to one of them, all were seen before."""
        for number in range(2):
            loaded = self.log().count(b"file.loaded")
            self.use_secrets(old=SECRET, **{f"spare_{number}": b"spare"})
            eventually(lambda before=loaded: self.log().count(b"file.loaded") > before)  # type: ignore[misc]

    def log(self) -> bytes:
        return (self.folder / "log").read_bytes()


def fetch(
    port: int,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    timeout_s: float = 20,
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


def eventually(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not become true in time"
        time.sleep(0.05)


async def records_of(endpoints: Endpoints, reader: str, topic: str) -> list[Any]:
    """Every record of a topic of four partitions up to its present end, as the holder of `reader`'s certificate reads it."""
    found: list[Any] = []
    consumer = AIOKafkaConsumer(**endpoints.kafka_client(reader), max_partition_fetch_bytes=8 << 20)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(4)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        for partition in partitions:
            while await consumer.position(partition) < ends[partition]:
                fetched = await consumer.getmany(partition, timeout_ms=1_000)
                found += fetched.get(partition, [])
        return found
    finally:
        await consumer.stop()


def opened_of(endpoints: Endpoints, reader: str, topic: str) -> list[tuple[Any, bytes]]:
    """The records of a topic that a receiver of these tests sealed, each with what was in it."""
    opener = RecordOpener(
        lambda key_id: PRIVATE if key_id == PRIVATE.public.key_id else None,
        lambda name: KnownSigner(name, INGEST.public_raw, RIGHTS_BY_PROCESS["ingest"]),
    )
    found = []
    for record in asyncio.run(records_of(endpoints, reader, topic)):
        with contextlib.suppress(
            TamperedRecord, KeyNotYetKnown
        ):  # of another test's; one of ours would be missed
            opened = opener.open(topic, record.value, record.headers, broker_time_s=record.timestamp / 1_000)
            found.append((record, opened.plaintext))
    return found


def on_raw(endpoints: Endpoints) -> list[bytes]:
    """The bodies of every block on the raw topic that a receiver of these tests sealed."""
    bodies: list[bytes] = []
    for record, plaintext in opened_of(endpoints, "router", topics.RAW):
        facts = index(record.headers)
        bodies += [one.body for one in unpack(plaintext, int(facts[MK_SIZE]), int(facts[MK_COUNT]))]
    return bodies


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
