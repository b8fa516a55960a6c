"""Run with a Python that has the contracts and their dependencies only: imports all of them and reads the published vectors, or fails.

Arguments: the folder of the vectors; then, if given, top-level modules that must not be needed.
"""

import importlib
import importlib.abc
import json
import pkgutil
import sys
from pathlib import Path
from uuid import UUID


class _Refuse(importlib.abc.MetaPathFinder):
    """Makes modules absent that happen to be installed here."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(name=name)


vectors = Path(sys.argv[1])
sys.meta_path.insert(0, _Refuse(frozenset(sys.argv[2:])))

import contracts  # noqa: E402
from contracts import reader  # noqa: E402
from contracts.hybrid import HybridPrivateKey  # noqa: E402

keys = json.loads((vectors / "keys.json").read_text())
records = json.loads((vectors / "record.json").read_text())
half = bytes.fromhex(keys["recipients"]["acme"]["private"])
publics = {name: keys["signers"][name]["public"] for name in ("router", "erasure", "store")}


def base64(text: str) -> str:
    from base64 import b64encode

    return b64encode(bytes.fromhex(text)).decode()


def raw(text: str) -> bytes:
    return bytes.fromhex(records["shared"].get(text, text))


case = records["good"][0]
opener = reader.EventOpener(
    reader.Keyring([half]),
    reader.pinned({name: base64(text) for name, text in publics.items()}),
    tenant=UUID(case["tenant"]),
)
event = opener.open(
    case["topic"],
    raw(case["value"]),
    [(name, raw(value)) for name, value in case["headers"]],
    case["broker_time_ms"] / 1000,
)
assert isinstance(event, reader.Event)
assert event.is_typed
assert HybridPrivateKey.from_bytes(half).public.key_id.hex() == keys["recipients"]["acme"]["key_id"]
of_the_extra = (
    {"contracts.reader.tenant", "contracts.reader.grants", "contracts.block"}
    if "aiokafka" in sys.argv[2:]
    else set()
)
for module in pkgutil.walk_packages(contracts.__path__, "contracts."):
    if module.name not in of_the_extra:
        importlib.import_module(module.name)
if "aiokafka" in sys.argv[2:]:
    try:
        reader.TenantReader  # noqa: B018
    except ImportError:
        pass
    else:
        raise AssertionError("TenantReader came without its client")
elif "--consumer" in sys.argv[2:]:
    assert reader.TenantReader.__module__ == "contracts.reader.tenant"
print("read:", event.type)
