"""A double of Meta's Graph API for the contact book: strict about the form of a call, told what to answer."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class GraphServer:
    """`tokens`: access token to app secret. `answers`: statuses of the next calls that are right, then 200."""

    tokens: dict[str, bytes]
    port: int = 0
    answers: list[int] = field(default_factory=list)
    deleted: list[tuple[str, str]] = field(default_factory=list)
    """(number, bsuid) of each deletion that was confirmed."""
    calls: int = 0
    wrong: list[str] = field(default_factory=list)
    """What was wrong with calls: never the call itself."""

    @property
    def url(self) -> str:
        """The base address with its version."""
        return f"http://127.0.0.1:{self.port}/v25.0"

    async def contact_book(self, request: web.Request) -> web.Response:
        """DELETE /{phone_number_id}/contact_book. META.md section 14."""
        self.calls += 1
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        secret = self.tokens.get(token)
        if scheme != "Bearer" or secret is None:
            return self._refused("token", 401)
        proof = hmac.digest(secret, token.encode(), "sha256").hex()
        if request.query.get("appsecret_proof") != proof:
            return self._refused("proof", 400)
        if request.query.get("messaging_product") != "whatsapp" or set(request.query) != {
            "messaging_product",
            "bsuid",
            "appsecret_proof",
        }:
            return self._refused("query", 400)
        if token in str(request.url):
            return self._refused("token in the address", 400)
        status = self.answers.pop(0) if self.answers else 200
        if status == 302:
            return web.Response(status=302, headers={"Location": f"{self.url}/elsewhere"})
        if status != 200:
            headers = {"Retry-After": "0"} if status == 429 else {}
            return web.json_response(
                {"error": {"code": 2, "message": "canary"}}, status=status, headers=headers
            )
        self.deleted.append((request.match_info["number"], request.query["bsuid"]))
        return web.json_response({"success": True})

    def _refused(self, what: str, status: int) -> web.Response:
        self.wrong.append(what)
        return web.json_response({"error": {"code": 100}}, status=status)


@asynccontextmanager
async def graph_server(tokens: dict[str, bytes], port: int = 0) -> AsyncIterator[GraphServer]:
    """One that serves on a port of this machine."""
    server = GraphServer(tokens)
    app = web.Application()
    app.router.add_delete("/v25.0/{number}/contact_book", server.contact_book)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        server.port = runner.addresses[0][1]
        yield server
    finally:
        await runner.cleanup()
