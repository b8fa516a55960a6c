"""Settings: one frozen class per process, read once, checked at start; errors name the setting and never its value."""

from __future__ import annotations

import os
import ssl
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.errors import InvalidSettings
from runtime.tls import TlsFiles, client_context

SettingsT = TypeVar("SettingsT", bound="ProcessSettings")

SHARED_PREFIXES = ("MKC_LOCAL_", "MKC_KAFKA", "MKC_POSTGRES")
"""Variables of the local stack and of all processes, which no process refuses."""


class ProcessSettings(BaseSettings):
    """Base of every process's settings. Sub-classes set `env_prefix` (`MKC_INGEST_` …) and add fields."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_nested_delimiter="__",
        hide_input_in_errors=True,
        validate_default=True,
    )

    kafka: str = "127.0.0.1:19092"
    """Bootstrap servers, comma-separated."""
    kafka_ca_file: Path | None = None
    """PEM of the authority that signed the brokers' certificates. With it Kafka is spoken to over TLS only."""
    kafka_cert_file: Path | None = None
    """PEM of this process's client certificate: its name (CN) is who Kafka takes it for. Watched."""
    kafka_key_file: Path | None = None
    """PEM of the certificate's key, 0600. Watched."""
    health_host: str = "127.0.0.1"
    """Address of the health and metrics server."""
    health_port: int
    """Port of the health and metrics server, apart from any public one."""
    signing_key_file: Path | None = None
    """File of this process's Ed25519 signing key: 32 bytes, 0600."""

    @cached_property
    def kafka_tls(self) -> ssl.SSLContext | None:
        """How every client of this process speaks to Kafka; None without TLS. Raises InvalidSettings."""
        prefix = str(self.model_config.get("env_prefix", ""))
        files = (self.kafka_ca_file, self.kafka_cert_file, self.kafka_key_file)
        ca, certificate, key = files
        if ca is None or certificate is None or key is None:
            if any(files):
                raise InvalidSettings(
                    f"{prefix}KAFKA_CA_FILE, _CERT_FILE and _KEY_FILE: all three are needed, or none"
                )
            return None
        return client_context(TlsFiles(ca, certificate, key), f"{prefix}KAFKA_CERT_FILE")

    def summary(self) -> dict[str, object]:
        """What the start-up line may show: an allow-list, no secret and no path of one."""
        return {"kafka": self.kafka, "health_port": self.health_port}


def load(settings: type[SettingsT]) -> SettingsT:
    """Read `settings` from the environment.

    Raises InvalidSettings naming the variable for a missing, malformed or unknown one (pydantic-settings itself does not
    notice a misspelt variable).
    """
    prefix = str(settings.model_config.get("env_prefix", ""))
    known = {f"{prefix}{name}".upper() for name in settings.model_fields}
    for upper in sorted(name.upper() for name in os.environ):
        nested = any(upper.startswith(f"{variable}__") for variable in known)
        if upper.startswith(prefix.upper()) and upper not in known and not nested:
            raise InvalidSettings(f"{upper}: no such setting")
    try:
        return settings()
    except ValidationError as exc:
        first = exc.errors(include_input=False, include_context=False, include_url=False)[0]
        where = "__".join(str(part) for part in first["loc"])
        what = "is missing" if first["type"] == "missing" else "cannot be used"
        raise InvalidSettings(f"{prefix}{where}".upper() + f": {what}") from None
