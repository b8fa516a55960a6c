"""Meta's callbacks through the receiver as a process onto a real Kafka: answered only once durable."""

import hashlib
import json

from contracts import topics
from contracts.erasure_requests import (
    CallbackRequest,
    callback_key,
    parse_request,
)
from contracts.key_file import REQUEST_KEYS
from contracts.signing import RIGHTS_BY_PROCESS, KnownSigner, Signer
from deploy.local.stack import Endpoints, LocalStack
from tests.integration.ingest.receiver_process import (
    CUSTODIAN,
    PAGE,
    Answer,
    Receiver,
    eventually,
    fetch,
    opened_of,
)
from tests.integration.ingest.receiver_process import SECRET as PROCESS_SECRET
from tests.integration.ingest.test_wire_callbacks import DELETION, USER, signed_form


def post(receiver: Receiver, form: bytes, path: str = DELETION) -> Answer:
    return fetch(receiver.port, "POST", path, form)


def receiver_custodian() -> KnownSigner:
    return KnownSigner("custodian", CUSTODIAN.public_raw, RIGHTS_BY_PROCESS["custodian"])


def metrics_of(receiver: Receiver) -> bytes:
    return fetch(receiver.health_port, "GET", "/metrics")[2]


def on_requests(endpoints: Endpoints) -> list[tuple[bytes, CallbackRequest]]:
    """Key and content of each callback on the topic that this receiver sealed."""
    found = []
    for record, plaintext in opened_of(endpoints, "erasure", topics.ERASURE_REQUESTS):
        made = parse_request(plaintext)
        assert isinstance(made, CallbackRequest)
        found.append((record.key, made))
    return found


def test_an_answered_callback_is_on_kafka_sealed_to_erasure_and_in_no_log(
    receiver: Receiver, stack: LocalStack
) -> None:
    # 1. A key list that the custodian did not sign is none: nothing is promised, and webhooks do not mind.
    keys = receiver.folder / "request_keys.json"
    content = keys.read_bytes()
    forger = Signer.from_bytes("custodian", b"\x02" * 32)
    keys.write_bytes(REQUEST_KEYS.encode(REQUEST_KEYS.decode(content, receiver_custodian()), forger))
    receiver.start()
    code, headers, body = post(receiver, signed_form(secret=PROCESS_SECRET))
    assert (code, headers["Retry-After"], body) == (503, "5", b'{"error":"overloaded"}')
    assert receiver.post(b"{}")[0] == 200
    # 2. The custodian's is taken without a restart.
    keys.write_bytes(content)
    eventually(lambda: b"mk_ingest_request_key_left_seconds 0.0" not in metrics_of(receiver))
    answer = post(receiver, signed_form(secret=PROCESS_SECRET))
    says = json.loads(answer[2])
    assert says["url"] == f"{PAGE}/{says['confirmation_code']}"
    assert post(receiver, signed_form(secret=b"forged"))[0] == 401
    # 3. What was answered is what stands on the topic.
    [(key, made)] = on_requests(stack.endpoints)
    assert key == callback_key("demo", USER)
    assert made.user_id == USER
    assert made.code_sha256 == hashlib.sha256(says["confirmation_code"].encode()).hexdigest()
    assert receiver.stop() == 0
    for secret in (USER, says["confirmation_code"], PROCESS_SECRET.decode()):
        assert secret.encode() not in receiver.log()
