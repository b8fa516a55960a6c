"""A receiver on a core of its own, its keys and settings, and what it costs: CPU, memory, its metrics."""

import base64
import contextlib
import http.client
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from contracts.hybrid import HybridPrivateKey
from contracts.key_file import RAW_KEYS, PublishedKey
from contracts.signing import Signer
from runtime.files import write_atomic

REPOSITORY = Path(__file__).parents[2]
SECRET = b"bench-secret"


def cpu_s(pid: int) -> float:
    """User and system seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mib(pid: int) -> float:
    """Resident memory now."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def sample(port: int, name: str) -> float:
    """One sample of the metrics page."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/metrics")
    for line in connection.getresponse().read().decode().splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    return 0.0


def prepare(folder: Path) -> dict[str, str]:
    """Keys, secrets and the settings that name them."""
    now = datetime.now(UTC)
    router = Signer.from_bytes("router", os.urandom(32))
    key = PublishedKey(
        public_key=base64.b64encode(HybridPrivateKey.generate().public.raw),
        active_from=now - timedelta(hours=1),
        seal_until=now + timedelta(hours=1),
    )
    files = {
        "signing.key": os.urandom(32),
        "router.pub": base64.b64encode(router.public_raw),
        "raw_keys.json": RAW_KEYS.encode((key,), router),
        "secret": SECRET,
        "token": b"token",
        "apps.json": b'{"apps":{"demo":{"secrets":[{"id":"s","file":"secret"}],"verify_token_file":"token"}}}',
    }
    for name, content in files.items():
        write_atomic(folder / name, content)
    return {
        "MKC_INGEST_SIGNING_KEY_FILE": str(folder / "signing.key"),
        "MKC_INGEST_ROUTER_KEY_FILE": str(folder / "router.pub"),
        "MKC_INGEST_RAW_KEYS_FILE": str(folder / "raw_keys.json"),
        "MKC_INGEST_APPS_FILE": str(folder / "apps.json"),
        "MKC_INGEST_REQUEST_KEYS_FILE": str(folder / "request_keys.json"),
        "MKC_INGEST_CUSTODIAN_KEY_FILE": str(folder / "router.pub"),
        "MKC_INGEST_ERASURE_PAGE_URL": "http://127.0.0.1/erasure",
    }


@contextlib.contextmanager
def alone_on_core_0(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A receiver for as long as the context lasts."""
    process = subprocess.Popen(
        ["taskset", "-c", "0", *command],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(15)


def wait_until(condition: Callable[[], bool]) -> None:
    """Up to 20 s."""
    for _ in range(200):
        time.sleep(0.1)
        with contextlib.suppress(OSError, http.client.HTTPException):
            if condition():
                return
    raise SystemExit("the receiver did not become ready")
