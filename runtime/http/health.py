"""`/livez`, `/readyz`, `/metrics`. Never shows a payload, an exception's text or a setting's value."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

import orjson
from aiohttp import web

from contracts.errors import InvalidSettings
from contracts.metrics import PROCESS_READY
from runtime.metrics import ProcessMetrics

Readiness = Callable[[], dict[str, bool]]
"""Each condition by name; ready when all are true."""


class HealthServer:
    """Serves one process's health and metrics; an async context manager."""

    def __init__(self, host: str, port: int, metrics: ProcessMetrics, readiness: Readiness) -> None:
        self._host, self._port = host, port
        self._metrics = metrics
        self._readiness = readiness
        self._runner: web.AppRunner | None = None
        self.before_scrape: list[Callable[[], None]] = []
        """Called before each scrape: set gauges that are computed."""

    async def __aenter__(self) -> HealthServer:
        app = web.Application()
        app.router.add_get("/livez", self._live)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/metrics", self._scrape)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as exc:
            setting = f"MKC_{self._metrics.process.upper()}_HEALTH_PORT"
            raise InvalidSettings(f"{setting}: port {self._port} is in use; choose another") from exc
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _exc: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def ready(self) -> bool:
        """True when every condition holds."""
        return all(self._readiness().values())

    async def _live(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _ready(self, _request: web.Request) -> web.Response:
        conditions = self._readiness()
        ready = all(conditions.values())
        self._metrics.gauge(PROCESS_READY).set(1 if ready else 0)
        return web.Response(
            status=200 if ready else 503,
            body=orjson.dumps({"ready": ready, **conditions}),
            content_type="application/json",
        )

    async def _scrape(self, _request: web.Request) -> web.Response:
        for compute in self.before_scrape:
            compute()
        self._metrics.gauge(PROCESS_READY).set(1 if self.ready() else 0)
        return web.Response(
            body=self._metrics.exposition(), headers={"Content-Type": "text/plain; version=0.0.4"}
        )
