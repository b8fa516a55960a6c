"""Splitting a delivery into items: pure functions from bytes to typed facts, one file per object of Meta's.

May never hold a client, logger, clock or key: it runs on what strangers wrote. META.md sections 5 to 13.
"""

from router.split.delivery import split
from router.split.item import AccountKey, BadItem, Direction, Item, data_json

__all__ = ["AccountKey", "BadItem", "Direction", "Item", "data_json", "split"]
