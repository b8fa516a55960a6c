"""Settings: one frozen class per process, read once, checked at start; errors name the setting and never its value."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.errors import InvalidSettings

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
    health_host: str = "127.0.0.1"
    """Address of the health and metrics server."""
    health_port: int
    """Port of the health and metrics server, apart from any public one."""
    signing_key_file: Path | None = None
    """File of this process's Ed25519 signing key: 32 bytes, 0600."""

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
