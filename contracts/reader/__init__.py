"""Reads a tenant's events: what a downstream service imports, and all it needs.

`GrantKeys` follows the tenant's keys topic in the place of `KeyFolder` (extra `kafka`, too): what a grant gives.
`EventOpener` and `open_event` turn a record's bytes and headers into a value, without Kafka. `TenantReader` consumes a
tenant's topic and needs the extra `kafka` (aiokafka)::

    keys, signers = KeyFolder(Path("keys")), pinned({"router": "…", "erasure": "…", "store": "…"})
    opener = EventOpener(keys, signers, tenant=tenant)
    async with TenantReader("kafka:9092", topic, "my-service", opener) as reader:
        async for batch in reader:              # commits the batch before
            for placed in batch.placed:
                match placed.value:
                    case Event(): ...           # `type`, `data`, `persons`, …
                    case Erased(): ...          # nothing is left to read
                    case SubjectErased(): ...   # forget these pseudonyms, and keep it for `KnownErasures`
                    case Unavailable() | Refused() | Gap(): ...

The layout of the bytes is in docs/wire-format.md. Must never log, keep or print what was said, and never swallow
a record: each becomes one value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contracts.reader.erasures import ErasedPeople, KnownErasures
from contracts.reader.keys import KeyFolder, Keyring, PrivateHalves, pinned
from contracts.reader.open import EventOpener, open_event
from contracts.reader.readings import Erased, Event, Gap, Reading, Refused, Unavailable
from contracts.subject_erased import SubjectErased

if TYPE_CHECKING:
    from contracts.reader.grants import GrantKeys
    from contracts.reader.seen import RecentIds, SeenIds
    from contracts.reader.tenant import Batch, Placed, TenantReader

__all__ = [
    "Batch",
    "Erased",
    "ErasedPeople",
    "Event",
    "EventOpener",
    "Gap",
    "GrantKeys",
    "KeyFolder",
    "Keyring",
    "KnownErasures",
    "Placed",
    "PrivateHalves",
    "Reading",
    "RecentIds",
    "Refused",
    "SeenIds",
    "SubjectErased",
    "TenantReader",
    "Unavailable",
    "open_event",
    "pinned",
]

_OF_THE_CONSUMER = {
    "Batch": "contracts.reader.tenant",
    "GrantKeys": "contracts.reader.grants",
    "Placed": "contracts.reader.tenant",
    "RecentIds": "contracts.reader.seen",
    "SeenIds": "contracts.reader.seen",
    "TenantReader": "contracts.reader.tenant",
}


def __getattr__(name: str) -> Any:
    """The consumer's names, on demand: who opens bytes of their own needs no Kafka client."""
    if name not in _OF_THE_CONSUMER:
        raise AttributeError(name)
    from importlib import import_module

    try:
        return getattr(import_module(_OF_THE_CONSUMER[name]), name)
    except ModuleNotFoundError as exc:
        raise ImportError("install the extra `kafka` of mkchannels-contracts for this") from exc
