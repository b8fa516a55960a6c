"""Keeps an eye on what keeps the keys: whether it answers, for readiness and metrics. Must never stop anything."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from contracts.errors import InvalidSettings, KeyServiceUnavailable
from runtime import logging

EVERY_S: Final = 10.0


async def watch_keys(
    ask: Callable[[], Awaitable[object]], changed: Callable[[bool], None], every_s: float = EVERY_S
) -> None:
    """Ask again and again, every so many seconds; `changed` is told after each answer. What is open goes on without one.

    Args:
        ask: raises KeyServiceUnavailable while the keys cannot be had, InvalidSettings for a token that cannot be used.
    """
    was_up = True
    while True:
        try:
            await ask()
            is_up = True
        except (KeyServiceUnavailable, InvalidSettings) as exc:
            is_up = False
            if was_up:
                logging.get_logger().error("provider.lost", exc=exc)
        changed(is_up)
        was_up = is_up
        await asyncio.sleep(every_s)
