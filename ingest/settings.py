"""The receiver's settings: `MKC_INGEST_*`, read once at start. Secrets are files, never values."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from contracts.errors import InvalidSettings
from contracts.signing import KnownSigner, Right, Signer
from contracts.topics import MIB
from ingest.block import QueueLimits
from ingest.connection import ConnectionLimits
from ingest.receive import BodyLimits
from runtime.files import read_secret
from runtime.settings import ProcessSettings


class IngestSettings(ProcessSettings):
    """Settings of `python -m ingest`. Times in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix="MKC_INGEST_")

    host: str = "127.0.0.1"
    """Address of the public port (behind the load balancer that ends TLS)."""
    port: int = Field(default=18080, ge=1, le=65535)
    """Public port."""
    health_port: int = Field(default=18081, ge=1, le=65535)
    """Port of health and metrics."""
    reuse_port: bool = False
    """Share the public port with other receivers of this host (SO_REUSEPORT)."""
    apps_file: Path
    """JSON: the apps, their secret files and verify token files; watched."""
    raw_keys_file: Path
    """The router's signed public keys; watched. While it is missing the receiver is not ready."""
    router_key_file: Path
    """Base64 of the router's Ed25519 public key: who may sign `raw_keys_file`."""
    request_keys_file: Path
    """Erasure's signed public keys, written by the custodian; watched. While it is missing callbacks are answered 503."""
    custodian_key_file: Path
    """Base64 of the custodian's Ed25519 public key: who may sign `request_keys_file`."""
    erasure_page_url: str = Field(pattern=r"^https?://[^\s?#]+[^\s?#/]$")
    """Public address of the status page, without the code: Meta shows people `<this>/<confirmation code>`."""
    callbacks_per_s: float = Field(default=20.0, gt=0)
    """Verified callbacks of Meta that are taken a second (five seconds' worth at once); beyond it 503."""
    raw_partitions: int = Field(default=4, ge=1, le=1000)
    """Partitions of the raw topic: 4 on one machine, 12 in production; checked against Kafka."""
    max_connections: int = Field(default=2048, ge=1)
    """Clients at once; more are answered 503 and closed."""
    header_deadline_s: float = Field(default=5.0, gt=0)
    """A connection whose request headers are not complete by then is closed."""
    body_deadline_s: float = Field(default=10.0, gt=0)
    """A request whose body is not complete by then is answered 408 and closed."""
    keepalive_s: float = Field(default=75.0, gt=0)
    """An idle connection is closed after this time."""
    max_body_bytes: int = Field(default=4 * MIB, ge=1024, le=4 * MIB)
    """A larger body is refused with 413; the raw topic takes no more."""
    max_receiving_bytes: int = Field(default=48 * MIB, ge=4 * MIB)
    """Memory for large bodies that are being received at once; beyond it 503."""
    queue_max_deliveries: int = Field(default=5_000, ge=1)
    """Deliveries that may wait for one partition's block; beyond it 503."""
    queue_max_bytes: int = Field(default=8 * MIB, ge=1024)
    """Bytes that may wait for one partition's block; beyond it 503."""
    queue_max_age_s: float = Field(default=1.0, gt=0)
    """While a queue's oldest delivery is older than this, new ones are answered 503."""
    answer_deadline_s: float = Field(default=3.5, gt=0, le=4.0)
    """A verified delivery that is not durable by then is answered 503 (Meta waits 5 s)."""
    drain_s: float = Field(default=8.0, gt=0)
    """How long a graceful stop waits for what is under way."""

    def summary(self) -> dict[str, object]:
        """The allow-listed start-up line."""
        return {**super().summary(), "port": self.port, "host": self.host, "partitions": self.raw_partitions}

    def connection_limits(self) -> ConnectionLimits:
        """For the public port."""
        return ConnectionLimits(
            self.max_connections, self.header_deadline_s, self.body_deadline_s, self.keepalive_s
        )

    def body_limits(self) -> BodyLimits:
        """For bodies."""
        return BodyLimits(self.max_body_bytes, self.max_receiving_bytes)

    def queue_limits(self) -> QueueLimits:
        """For each partition's queue."""
        return QueueLimits(
            self.queue_max_deliveries, self.queue_max_bytes, self.queue_max_age_s, self.answer_deadline_s
        )

    def signer(self) -> Signer:
        """This process's signing key. Raises InvalidSettings."""
        if self.signing_key_file is None:
            raise InvalidSettings("MKC_INGEST_SIGNING_KEY_FILE: is missing")
        try:
            return Signer.from_bytes(
                "ingest", read_secret(self.signing_key_file, "MKC_INGEST_SIGNING_KEY_FILE")
            )
        except ValueError:
            raise InvalidSettings("MKC_INGEST_SIGNING_KEY_FILE: is not a key of 32 bytes") from None

    def router(self) -> KnownSigner:
        """The router, as far as we believe it: its list of public keys. Raises InvalidSettings."""
        raw, *others = _public_keys(self.router_key_file, "MKC_INGEST_ROUTER_KEY_FILE")
        return KnownSigner("router", raw, frozenset({Right.SIGN_RAW_KEYS}), tuple(others))

    def custodian(self) -> KnownSigner:
        """The custodian, as far as we believe it: the list of erasure's public keys. Raises InvalidSettings."""
        raw, *others = _public_keys(self.custodian_key_file, "MKC_INGEST_CUSTODIAN_KEY_FILE")
        return KnownSigner("custodian", raw, frozenset({Right.SIGN_REQUEST_KEYS}), tuple(others))


def _public_keys(path: Path, setting: str) -> list[bytes]:
    """One a line: the present one first, then those that are believed as well."""
    try:
        keys = [b64decode(line, validate=True) for line in path.read_bytes().split()]
    except (OSError, ValueError) as exc:
        raise InvalidSettings(f"{setting}: cannot be read") from exc
    if not keys or any(len(raw) != 32 for raw in keys):
        raise InvalidSettings(f"{setting}: is not a public key of 32 bytes")
    return keys
