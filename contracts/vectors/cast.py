"""Who plays in the vectors: tenants, recipients, signers, and the epochs between them. All of it fixed.

HPKE draws randomness inside the library, and zstd's output is its version's, so both are recorded once in
`recorded.json` and used again; what does not open any more is recorded anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag

from contracts import topics
from contracts.hybrid import HybridPrivateKey
from contracts.sealing import EpochStatement, SealingEpoch
from contracts.signing import RIGHTS_BY_PROCESS, Signer

FOLDER: Final = Path(__file__).parent
RECORDED: Final = FOLDER / "recorded.json"
T0_S: Final = 1_760_000_000
"""2025-10-09T08:53:20Z: when all epochs begin."""
ACME: Final = UUID("0b0e3b1a-6f1c-4c8e-9a53-8f2b1f0c7d11")
OTHER: Final = UUID("7d9f4d52-0a33-4b77-8d0e-2c6f5f9e4e22")
TOPIC: Final = topics.tenant_events_topic("acmeslot23")
OTHER_TOPIC: Final = topics.tenant_events_topic("otherslot7")
EPOCH_LIFE_S: Final = 300


def fixed(label: str, size: int) -> bytes:
    """Bytes that anyone can make again: SHAKE-256 of `mkchannels vector ` and the label."""
    return hashlib.shake_256(b"mkchannels vector " + label.encode()).digest(size)


PSEUDONYM_KEY: Final = fixed("pseudonym key of acme", 32)
RECIPIENTS: Final = {
    name: HybridPrivateKey.from_bytes(fixed(f"private half {name}", 96)) for name in ("acme", "other", "gone")
}
"""`gone` is a key of acme's whose private half readers do not have."""
SIGNERS: Final = {
    name: Signer.from_bytes(name, fixed(f"signing key {name}", 32))
    for name in ("router", "erasure", "store", "ingest", "custodian", "mallory")
}
"""`mallory` is known to nobody."""


class Recorded:
    """Bytes that a library made once."""

    def __init__(self) -> None:
        self._kept: dict[str, str] = json.loads(RECORDED.read_text()) if RECORDED.is_file() else {}
        self.used: dict[str, str] = {}

    def get(self, name: str, is_right: Callable[[bytes], bool], make: Callable[[], bytes]) -> bytes:
        """What was recorded under the name if it is still right, else made and recorded now."""
        kept = bytes.fromhex(self._kept.get(name, ""))
        content = kept if kept and is_right(kept) else make()
        self.used[name] = content.hex()
        return content


@dataclass(frozen=True, slots=True)
class RecordedRecipient:
    """Stands for a public half; seals by playing back."""

    name: str
    private: HybridPrivateKey
    recorded: Recorded

    @property
    def key_id(self) -> bytes:
        """Of the public half."""
        return self.private.public.key_id

    def seal(self, plaintext: bytes, info: bytes) -> bytes:
        """What `HybridPublicKey.seal` gave once."""

        def opens(sealed: bytes) -> bool:
            try:
                return self.private.open(sealed, info) == plaintext
            except InvalidTag:
                return False

        return self.recorded.get(self.name, opens, lambda: self.private.public.seal(plaintext, info))


@dataclass(frozen=True, slots=True)
class VectorEpoch:
    """A sealing epoch whose key is known."""

    name: str
    sealing: SealingEpoch
    epoch_key: bytes
    recipient: HybridPrivateKey

    @property
    def statement(self) -> EpochStatement:
        """Who seals what for whom."""
        return self.sealing.statement


class Cast:
    """Makes epochs and remembers what was recorded for them."""

    def __init__(self) -> None:
        self.recorded = Recorded()
        self.router = self.epoch("router to acme", "router", "acme", ACME, TOPIC)
        self.other = self.epoch("router to other", "router", "other", OTHER, OTHER_TOPIC)
        self.erasure = self.epoch("erasure to acme", "erasure", "acme", ACME, TOPIC)
        self.ingest = self.epoch("ingest to acme", "ingest", "acme", ACME, TOPIC)
        self.mallory = self.epoch("mallory to acme", "mallory", "acme", ACME, TOPIC)
        self.gone = self.epoch("router to a key that is gone", "router", "gone", ACME, TOPIC)
        self.crossed = self.epoch("router to acme's key as other", "router", "acme", OTHER, TOPIC)

    def epoch(self, name: str, signer: str, recipient: str, tenant: UUID, topic: str) -> VectorEpoch:
        """An epoch from T0 on."""
        epoch_key = fixed(f"epoch key {name}", 32)
        private = RECIPIENTS[recipient]
        sealing = SealingEpoch.begin(
            recipient=RecordedRecipient(name, private, self.recorded),  # type: ignore[arg-type]  # plays back
            tenant=tenant,
            topic=topic,
            signer=SIGNERS[signer],
            now_s=T0_S,
            epoch_key=epoch_key,
            lifetime_s=EPOCH_LIFE_S,
        )
        return VectorEpoch(name, sealing, epoch_key, private)


def described() -> dict[str, object]:
    """`keys.json`."""
    return {
        "about": "Made-up keys. Readers hold the private halves of acme and other; `gone` is one that they do not have. "
        "Readers know every signer but mallory.",
        "tenants": {"acme": str(ACME), "other": str(OTHER)},
        "pseudonym_key": PSEUDONYM_KEY.hex(),
        "recipients": {
            name: {
                "private": half.raw.hex(),
                "public": half.public.raw.hex(),
                "key_id": half.public.key_id.hex(),
            }
            for name, half in RECIPIENTS.items()
        },
        "signers": {
            name: {
                "private": fixed(f"signing key {name}", 32).hex(),
                "public": signer.public_raw.hex(),
                "may": sorted(RIGHTS_BY_PROCESS.get(name, ())),
            }
            for name, signer in SIGNERS.items()
        },
    }
