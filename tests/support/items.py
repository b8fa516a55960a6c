"""The items of a body and the ids that their events get, as property tests look at them."""

from pathlib import Path
from typing import Final
from uuid import UUID

import pytest

from contracts.ids import event_id
from router.split import Item, split

CORPUS: Final = Path(__file__).resolve().parents[3] / "shared" / "corpus"
needs_corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason="needs ../shared/corpus")
_KEY: Final = bytes(32)


def found(body: bytes) -> list[Item]:
    """The items of a body that could be read."""
    return [part for part in split(body) if isinstance(part, Item)]


def corpus() -> list[tuple[str, bytes]]:
    """Name and bytes of every recorded body."""
    return [(path.name, path.read_bytes()) for path in sorted(CORPUS.rglob("*.json"))]


def identity(item: Item) -> UUID:
    """The id of the item's event: times count by the second there, and an account is told by its id only."""
    return event_id(
        _KEY,
        occurred_at_ms=item.occurred_at_ms,
        provider_object=item.provider_object,
        account=item.account.value if item.account is not None else "",
        kind=item.event_type,
        native_id=item.native_id,
        discriminator=item.discriminator,
    )
