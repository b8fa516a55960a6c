"""What each process's token may at the key server: the table of docs/keys.md, as the server's policies say it.

Tests give the double and OpenBao the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Paths = Mapping[str, tuple[str, ...]]
"""Path, or the beginning of paths with a star, to capabilities."""
EVERYTHING: Final = ("create", "read", "update", "delete", "list")
_OPENS: Final[Paths] = {
    "transit/keys/mk-root-*": ("read",),
    "transit/keys": ("list",),
    "transit/decrypt/mk-root-*": ("update",),
    "secret/data/mk-store/*": ("read",),
    "secret/metadata/mk-store": ("list",),
}
POLICIES: Final[Mapping[str, Paths]] = {
    "custodian": {
        "transit/keys/mk-root-*": ("create", "read", "update", "delete"),
        "transit/keys": ("list",),
        "transit/encrypt/mk-root-*": ("update",),
        "transit/decrypt/mk-root-*": ("update",),
        "secret/data/mk-store/*": EVERYTHING,
        "secret/metadata/mk-store/*": EVERYTHING,
        "secret/metadata/mk-store": ("list",),
        "secret/data/mk-erasure/transport-*": EVERYTHING,
        "secret/metadata/mk-erasure/transport-*": EVERYTHING,
        "secret/metadata/mk-erasure": ("list",),
        "secret/data/mk-router/pseudonym-*": ("create", "update"),
        "secret/metadata/mk-router/pseudonym-*": ("create", "update"),
    },
    "router": {
        "secret/data/mk-router/*": EVERYTHING,
        "secret/metadata/mk-router/*": EVERYTHING,
        "secret/metadata/mk-router": ("list",),
    },
    "store": _OPENS,
    "reader": _OPENS,
    "erasure": {
        **_OPENS,
        "secret/data/mk-erasure/*": ("read",),
        "secret/metadata/mk-erasure": ("list",),
        "secret/data/mk-erasure/details-*": EVERYTHING,
        "secret/metadata/mk-erasure/details-*": EVERYTHING,
    },
    "operator": {
        "secret/data/mk-router/routing": ("create", "update", "read"),
        "secret/metadata/mk-router/routing": ("create", "update", "read"),
    },
}
