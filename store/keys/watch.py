"""Keeps an eye on the key provider: whether it answers, for readiness and metrics. Stops nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from contracts.errors import InvalidSettings, KeyServiceUnavailable
from runtime import logging
from store.keys.provider import KeyProvider

EVERY_S: Final = 10.0


async def watch_provider(
    provider: KeyProvider, changed: Callable[[bool], None], every_s: float = EVERY_S
) -> None:
    """Ask again and again; `changed` is told after each answer. What is open goes on without the provider."""
    was_up = True
    while True:
        try:
            await provider.status()
            is_up = True
        except (KeyServiceUnavailable, InvalidSettings) as exc:
            is_up = False
            if was_up:
                logging.get_logger().error("provider.lost", exc=exc)
        changed(is_up)
        was_up = is_up
        await asyncio.sleep(every_s)
