"""Makes the keys of the local processes: signing keys, their public halves, and the folders of secrets.

Each process gets a folder that only its own user may enter; what others must know of it lies in `public`. Must never
replace a key that exists: records signed with it are still on the topics.
"""

from __future__ import annotations

import json
import os
from base64 import b64encode
from pathlib import Path
from typing import Final

from contracts.signing import Signer
from runtime.files import SecretFolder, write_atomic

PROCESSES: Final = ("ingest", "router", "store", "erasure", "custodian", "operator")
CONTROL_SIGNERS: Final = ("custodian", "operator")
SECRET_FOLDERS: Final = ("router", "store", "erasure")
SIGNING_KEY: Final = "signing.key"
RECEIPT_KEY: Final = "receipt.key"
RECEIPT_KEYS: Final = "receipts.pub"


def make_identities(keys: Path) -> None:
    """Make what is missing under `keys` (`.local/keys`): `<process>/signing.key` (32 random bytes, 0600),
    `public/<process>.pub` (base64; after the present key those of before), `public/control_signers.json`, `<process>/secrets`,
    and the company's receipt key (`erasure/receipt.key`, `public/receipts.pub`). Idempotent.
    """
    keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    public = keys / "public"
    public.mkdir(mode=0o755, exist_ok=True)
    encoded: dict[str, str] = {}
    for process in PROCESSES:
        raw = SecretFolder(keys / process).put_if_absent(SIGNING_KEY, os.urandom(32))
        encoded[process] = b64encode(Signer.from_bytes(process, raw).public_raw).decode()
        _publish_first(public / f"{process}.pub", encoded[process])
    signers = {name: encoded[name] for name in CONTROL_SIGNERS}
    _publish(public / "control_signers.json", json.dumps(signers, indent=2) + "\n")
    raw = SecretFolder(keys / "erasure").put_if_absent(RECEIPT_KEY, os.urandom(32))
    _publish_first(public / RECEIPT_KEYS, b64encode(Signer.from_bytes("receipts", raw).public_raw).decode())
    for process in SECRET_FOLDERS:
        (keys / process).mkdir(mode=0o700, exist_ok=True)
        SecretFolder(keys / process / "secrets")
    # Hashes administrators' app-scoped ids (contracts.control); the router, `mkc account` and erasure use the same.
    routing = SecretFolder(keys / "router" / "secrets").put_if_absent("routing", os.urandom(32))
    SecretFolder(keys / "erasure" / "secrets").put_if_absent("routing", routing)


def _publish_first(path: Path, encoded: str) -> None:
    """A line for the present key, before those of keys that it follows: what they signed is believed as well."""
    before = path.read_text().split() if path.is_file() else []
    _publish(path, "".join(f"{one}\n" for one in (encoded, *(one for one in before if one != encoded))))


def _publish(path: Path, text: str) -> None:
    # Unchanged files stay untouched: processes watch them.
    if not path.is_file() or path.read_text() != text:
        write_atomic(path, text.encode(), mode=0o644)
