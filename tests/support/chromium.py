"""A real Chromium without a window, driven by its own protocol (Chrome DevTools Protocol); needs no other package.

Where none is installed its tests are skipped and say how to install it.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

_NAMES: Final = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome", "chrome")
PROGRAM: Final = next((found for name in _NAMES if (found := shutil.which(name))), None)
needs_chromium = pytest.mark.skipif(
    PROGRAM is None,
    reason="there is no Chromium here; as root: make browser",
)
_START_S: Final = 30.0


class Tab:
    """One page of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, session: str) -> None:
        self._socket, self._session = socket, session
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []
        """What the browser reports: content that a policy blocked, errors of the network or of scripts."""

    async def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """One command and its result."""
        number = next(self._numbers)
        await self._socket.send_json(
            {"id": number, "method": method, "params": parameters, "sessionId": self._session}
        )
        while True:
            message = await self._received()
            if message.get("id") == number and message.get("sessionId") == self._session:
                assert "error" not in message, message["error"]
                return dict(message["result"])

    async def open(self, url: str) -> None:
        """Go there and wait until it is loaded."""
        await self.call("Page.navigate", url=url)
        while (await self._received()).get("method") != "Page.loadEventFired":
            pass

    async def roles(self) -> list[tuple[str, str]]:
        """Role and name of everything that a screen reader is told of, in order."""
        nodes = (await self.call("Accessibility.getFullAXTree"))["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node["ignored"] and "role" in node
        ]

    async def screenshot(self, path: Path) -> bytes:
        """The page as it looks, as a PNG, also left at `path`."""
        image = base64.b64decode((await self.call("Page.captureScreenshot", format="png"))["data"])

        def keep() -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(image)

        await asyncio.to_thread(keep)
        return image

    async def _received(self) -> dict[str, Any]:
        message = dict(await self._socket.receive_json(timeout=_START_S))
        if message.get("method") == "Log.entryAdded":
            self.complaints.append(message["params"]["entry"]["text"])
        return message


@asynccontextmanager
async def browser(folder: Path, *, scripts: bool = False) -> AsyncIterator[Tab]:
    """A browser with its data in `folder`, and one page in which scripts do not run unless `scripts` says so."""
    assert PROGRAM is not None
    command = [
        PROGRAM,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
    ]
    command += ["--hide-scrollbars", "--disable-background-networking", "--remote-debugging-port=0"]
    with (folder / "chromium.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, f"--user-data-dir={folder / 'profile'}", "about:blank", stdout=log, stderr=log
        )
    try:
        port, path = await _endpoint(folder / "profile" / "DevToolsActivePort")
        async with (
            aiohttp.ClientSession() as client,
            client.ws_connect(f"ws://127.0.0.1:{port}{path}", max_msg_size=64 << 20) as socket,
        ):
            target = (await _plain(socket, "Target.createTarget", url="about:blank"))["targetId"]
            attached = await _plain(socket, "Target.attachToTarget", targetId=target, flatten=True)
            tab = Tab(socket, attached["sessionId"])
            for domain in ("Page", "Log", "Accessibility"):
                await tab.call(f"{domain}.enable")
            await tab.call("Emulation.setScriptExecutionDisabled", value=not scripts)
            yield tab
    finally:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _plain(
    socket: aiohttp.ClientWebSocketResponse, method: str, **parameters: object
) -> dict[str, Any]:
    await socket.send_json({"id": 0, "method": method, "params": parameters})
    while (message := await socket.receive_json(timeout=_START_S)).get("id") != 0:
        pass
    return dict(message["result"])


async def _endpoint(file: Path) -> tuple[int, str]:
    async with asyncio.timeout(_START_S):
        while True:
            lines = await asyncio.to_thread(lambda: file.read_text().split() if file.is_file() else [])
            if len(lines) == 2:
                return int(lines[0]), lines[1]
            await asyncio.sleep(0.05)
