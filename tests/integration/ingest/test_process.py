"""The receiver as a process on a real Kafka: durable before 200, 503 in time, recovery without a restart, a drained end."""

import concurrent.futures
import hmac
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.key_file import RAW_KEYS
from contracts.signing import Signer
from deploy.local.stack import Endpoints, LocalStack
from runtime.files import write_atomic
from tests.integration.ingest.receiver_process import (
    CANARY,
    REPOSITORY,
    SECRET,
    TOKEN,
    Receiver,
    eventually,
    fetch,
    on_raw,
    receiver_in,
)
from tests.support.servers import free_port


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
    eventually(lambda: receiver.post(CANARY, new)[0] == 200)
    assert receiver.post(CANARY)[0] == 200
    receiver.use_secrets(new=new)
    eventually(lambda: receiver.post(CANARY)[0] == 401)
    (receiver.folder / "apps.json").write_bytes(b"{half")
    eventually(lambda: b"file.refused" in receiver.log())
    assert receiver.post(CANARY, new)[0] == 200
    page = fetch(receiver.health_port, "GET", "/metrics")[2]
    assert b'mk_ingest_secret_matches_total{app="demo",secret_id="new"}' in page


@pytest.mark.kafka
def test_while_kafka_is_dead_the_answer_is_503_and_it_recovers_without_a_restart(
    receiver: Receiver, stack: LocalStack
) -> None:
    mark = os.urandom(8).hex().encode()
    receiver.start()
    assert receiver.process is not None
    pid = receiver.process.pid
    assert receiver.post(b"before " + mark)[0] == 200
    stack.kafka.kill()
    try:
        # How soon exactly: tests/unit/ingest/test_publish.py. Here nobody waits until Kafka is back.
        def refused(number: int) -> None:
            status, headers, body = receiver.post(b"during %d " % number + mark)
            assert (status, headers["Retry-After"], body) == (503, "5", b'{"error":"overloaded"}')

        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            list(pool.map(refused, range(24)))
        for number in range(24, 30):
            refused(number)
        query = f"?hub.mode=subscribe&hub.challenge=42&hub.verify_token={TOKEN.decode()}"
        assert fetch(receiver.port, "GET", "/webhooks/meta/demo" + query)[::2] == (200, b"42")
        eventually(lambda: receiver.health("/readyz") == 503)
    finally:
        stack.kafka.start()
    eventually(lambda: receiver.post(b"after " + mark)[0] == 200)
    eventually(lambda: receiver.health("/readyz") == 200)
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
    eventually(lambda: b'"kafka":true' in fetch(receiver.health_port, "GET", "/readyz")[2])
    assert receiver.health("/readyz") == 503
    assert receiver.post(CANARY)[0] == 503
    forged = RAW_KEYS.encode((), Signer.from_bytes("router", b"\x01" * 32))
    write_atomic(keys, forged)
    receiver.looked_at_everything()
    assert receiver.post(CANARY)[0] == 503
    write_atomic(keys, content)
    eventually(lambda: receiver.post(CANARY)[0] == 200)


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
        eventually(lambda: len(promised) > 50)
        assert receiver.stop() == 0
        for worker in workers:
            worker.result()
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
