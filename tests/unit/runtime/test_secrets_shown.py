"""What holds a secret shows none of it: not by repr, str or a format, not in a traceback, not in the start-up summary."""

from __future__ import annotations

import asyncio
import os
import traceback
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from contracts.errors import KeyNotYetKnown, TamperedRecord
from contracts.hybrid import HybridPrivateKey
from contracts.sealing import NO_TENANT, SealingEpoch
from contracts.signing import Signer
from deploy.local.settings_reference import READERS
from ingest.apps import App
from ingest.signature import AppSecret
from router.raw_keys import Keyring as RawKeyring
from router.routing_key import RoutingKey
from runtime.files import SecretFolder
from runtime.secrets import FolderSecrets
from runtime.settings import ProcessSettings
from runtime.vault import Answer
from store.custody.epochs.flip import TenantEpoch
from store.custody.epochs.rewrap import Kek
from store.keys.halves import PrivateHalves
from store.keys.keyring import LocalKeyring
from store.keys.provider import Rewrap
from store.lanes.keks import TenantKeks, WrappedKek

SECRET = os.urandom(32)
HALF = HybridPrivateKey.generate()


def _epoch() -> SealingEpoch:
    signer = Signer.from_bytes("ingest", SECRET)
    return SealingEpoch.begin(
        recipient=HALF.public, tenant=NO_TENANT, topic="t", signer=signer, now_s=1, epoch_key=SECRET
    )


def _halves(folder: Path) -> PrivateHalves:
    SecretFolder(folder).put("transport-1", HALF.raw)
    halves = PrivateHalves(FolderSecrets(SecretFolder(folder)))
    halves.get("1")
    assert asyncio.run(halves.fetch())
    assert halves.get("1") == HALF
    return halves


def _raw(folder: Path) -> RawKeyring:
    SecretFolder(folder).put("raw-20261126", HALF.raw)
    keyring = RawKeyring(FolderSecrets(SecretFolder(folder)))
    asyncio.run(keyring.reload())
    return keyring


def _routing(folder: Path) -> RoutingKey:
    SecretFolder(folder).put("routing", SECRET)
    key = RoutingKey(FolderSecrets(SecretFolder(folder)))
    asyncio.run(key.read())
    assert key() == SECRET
    return key


HOLDERS: dict[str, Callable[[Path], object]] = {
    "transport half": lambda _: HALF,
    "signer": lambda _: Signer.from_bytes("router", SECRET),
    "sealing epoch": lambda _: _epoch(),
    "app": lambda _: App("demo", (AppSecret("1", SECRET),), SECRET),
    "vault's answer": lambda _: Answer(200, {"data": SECRET.hex()}),
    "wrapped KEK": lambda _: WrappedKek(1, 1, SECRET),
    "epoch's row": lambda _: TenantEpoch(1, 1, SECRET, True),
    "opened KEK": lambda _: Kek(1, AESGCM(SECRET)),
    "wrap that moves": lambda _: Rewrap(SECRET, b"", b""),
    "kept KEKs": lambda folder: TenantKeks(LocalKeyring(SecretFolder(folder))),
    "kept halves": _halves,
    "raw halves": _raw,
    "routing key": _routing,
}


def shown(text: str) -> bool:
    """Whether a part of a secret stands there in a form that somebody would print."""
    for secret in (SECRET, HALF.raw):
        part = secret[:12]
        forms = (part.hex(), b64encode(part).decode(), repr(part)[2:-1], repr(secret)[2:20])
        if any(form in text for form in forms):
            return True
    return False


@pytest.mark.parametrize("holder", list(HOLDERS))
def test_no_way_to_print_a_holder_shows_what_it_holds(holder: str, tmp_path: Path) -> None:
    held = HOLDERS[holder](tmp_path / "secrets")
    assert not shown(f"{held!r} {held} {[held]} {(held, {1: held})}")


def test_the_search_finds_a_secret_that_shows() -> None:
    assert all(
        shown(text) for text in (repr(SECRET), SECRET.hex(), str([HALF.raw]), b64encode(SECRET).decode())
    )


async def test_a_traceback_shows_neither_a_key_nor_what_it_was_to_open(tmp_path: Path) -> None:
    folder = SecretFolder(tmp_path / "keys")
    folder.put("root-1", SECRET)
    keyring = LocalKeyring(folder)
    for call, error in (
        (keyring.unwrap(1, SECRET * 2, SECRET), TamperedRecord),
        (keyring.unwrap(2, SECRET * 2, SECRET), KeyNotYetKnown),
        (keyring.get_secret("absent"), KeyNotYetKnown),
    ):
        with pytest.raises(error) as caught:
            await call
        assert not shown("".join(traceback.format_exception(caught.value)))


@pytest.mark.parametrize("settings", list(READERS), ids=lambda one: one.__name__)
def test_no_settings_show_a_dsn_and_no_summary_the_file_of_a_secret(settings: type[ProcessSettings]) -> None:
    canary = "canary-5150"
    given: dict[str, Any] = {}
    for name, field in settings.model_fields.items():
        kind = str(field.annotation)
        if "SecretStr" in kind:
            given[name] = SecretStr(canary)
        elif name == "database":
            given[name] = canary
        elif "Path" in kind:
            given[name] = Path("/secret-file-5150")
        elif not field.is_required():
            given[name] = field.get_default(call_default_factory=True)
        else:
            given[name] = 1
    made = settings.model_construct(**given)
    assert canary not in f"{made!r} {made} {made.summary()}"
    assert "secret-file-5150" not in str(made.summary())
