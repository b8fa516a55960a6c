"""The desk's settings: `MKC_DESK_*`."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from runtime.settings import ProcessSettings


class DeskSettings(ProcessSettings):
    """What `python -m store.desk` is given."""

    model_config = SettingsConfigDict(env_prefix="MKC_DESK_")

    health_port: int = Field(default=18086, ge=1, le=65535)
    """Port of the health and metrics server."""
    host: str = "127.0.0.1"
    """Address of the public port (behind the load balancer that ends TLS)."""
    port: int = Field(default=18089, ge=1, le=65535)
    """Public port of the status page."""
    database: str = Field(repr=False)
    """DSN of the database cell as `mk_desk`."""
    trusted_proxies: int = Field(default=0, ge=0, le=8)
    """How many proxies of ours stand in front: the visitor is that many from the right of `X-Forwarded-For`."""
    pages_per_minute: int = Field(default=30, ge=1)
    """Pages for one address (of IPv6 one /64) in a minute, and at once; beyond it 429."""
    max_connections: int = Field(default=512, ge=1)
    """Clients at once; more are turned away."""

    def summary(self) -> dict[str, object]:
        """The allow-listed start-up line: the desk speaks to no Kafka."""
        return {"health_port": self.health_port, "host": self.host, "port": self.port}
