"""The control plane: signed records on one compacted topic, and the view that a process builds from them.

Source of truth for tenants, slots, accounts, consents, public keys and grants (DESIGN.md section 7). Opaque references and keyed
hashes only: account ids are companies' identifiers and stand plain, administrators' app-scoped ids only as keyed
hashes, names and proofs never. Must never hold a client: whoever reads Kafka feeds the view.
"""

from __future__ import annotations

import hmac
from base64 import b64decode
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from contracts.errors import TamperedRecord
from contracts.headers import Headers, index
from contracts.hybrid import HybridPublicKey
from contracts.signing import RIGHTS_BY_PROCESS, KnownSigner, Right, Signer

SIGNED_BY: Final = "by"
SIGNATURE: Final = "sig"
_LONGEST_KEY: Final = 1_024
_MESSAGE: Final = b"mkchannels control v1\x00"

RECIPIENT_ERASURE: Final = "erasure"


def tenant_recipient(tenant: UUID) -> str:
    """The name under which a tenant's transport keys are published."""
    return f"tenant/{tenant}"


class IdKind(StrEnum):
    """The ids by which Meta names an account (META.md section 5.2)."""

    PAGE = "page"
    INSTAGRAM = "instagram"
    WABA = "waba"
    PHONE_NUMBER = "phone_number_id"
    APP_SCOPED_USER = "app_scoped_user"
    """Stands as a keyed hash (`app_scoped_user_hash`), never plain."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class SignerRecord(_Record):
    """A signer's public key and what it may say."""

    kind: Literal["signer"] = "signer"
    name: str
    public_key: Base64Bytes
    may: frozenset[Right]
    others: tuple[Base64Bytes, ...] = ()
    """Further keys of it that are believed as well: the ones before a change of key, or the next one."""

    @property
    def record_id(self) -> str:
        return f"signer/{self.name}"


class TransportKeyRecord(_Record):
    """A recipient's public transport key. Times are aware UTC; senders fail closed past `seal_until`."""

    kind: Literal["transport_key"] = "transport_key"
    recipient: str
    public_key: Base64Bytes
    active_from: datetime
    seal_until: datetime

    @property
    def record_id(self) -> str:
        return f"transport/{self.recipient}/{HybridPublicKey.from_bytes(self.public_key).key_id.hex()}"


class SlotRecord(_Record):
    """A tenant topic: created ahead, bound once, never reused."""

    kind: Literal["slot"] = "slot"
    slot: str
    partitions: int
    state: Literal["free", "bound", "draining", "retired"]
    tenant: UUID | None = None

    @property
    def record_id(self) -> str:
        return f"slot/{self.slot}"


class TenantRecord(_Record):
    """A tenant that is ready (its keys, slot and schema exist), paused or leaving."""

    kind: Literal["tenant"] = "tenant"
    tenant: UUID
    state: Literal["ready", "paused", "leaving"]
    slot: str
    partitions: int
    schema_name: str
    """Of the database cell: `t_…`."""

    @property
    def record_id(self) -> str:
        return f"tenant/{self.tenant}"


class AccountId(_Record):
    """One of an account's ids."""

    kind: IdKind
    value: str


class Consent(_Record):
    """The account administrator's consent: nothing is processed without an active one (policy section 7)."""

    state: Literal["active", "withdrawn"]
    since: datetime
    scopes: frozenset[str]
    proof_ref: UUID


class AccountRecord(_Record):
    """A connected account with every id by which Meta may name it."""

    kind: Literal["account"] = "account"
    account: UUID
    tenant: UUID
    product: Literal["messenger", "instagram", "whatsapp"]
    ids: tuple[AccountId, ...]
    consent: Consent
    state: Literal["connected", "disconnected"]
    said_at: datetime = datetime.fromtimestamp(0, UTC)
    """The database's time when this was said, under the account's lock: an older record does not replace a newer one."""

    @property
    def record_id(self) -> str:
        return f"account/{self.account}"


class GrantRecord(_Record):
    """A downstream service may read a tenant's topic: who it is to Kafka, and the key that its keys are wrapped for.

    A grant ends once, by its time or because it was revoked, and never begins again: its successor has another id.
    """

    kind: Literal["grant"] = "grant"
    grant: UUID
    tenant: UUID
    reader: str
    """The name on the service's certificate."""
    state: Literal["active", "ended"]
    since: datetime
    until: datetime
    public_key: Base64Bytes | None = None
    """While it is active."""

    @property
    def record_id(self) -> str:
        return f"grant/{self.grant}"


ControlRecord = SignerRecord | TransportKeyRecord | SlotRecord | TenantRecord | AccountRecord | GrantRecord
_ADAPTER: Final[TypeAdapter[ControlRecord]] = TypeAdapter(
    Annotated[ControlRecord, Field(discriminator="kind")]
)


def app_scoped_user_hash(routing_key: bytes, app: str, user_id: str) -> str:
    """The form in which an administrator's app-scoped id stands in control: hex, keyed, per app."""
    return hmac.digest(routing_key, b"asid\x00" + app.encode() + b"\x00" + user_id.encode(), "sha256").hex()


def _message(key: bytes, value: bytes, by: str) -> bytes:
    name = by.encode()
    return b"".join((_MESSAGE, len(name).to_bytes(2), name, len(key).to_bytes(2), key, value))


def encode(record: ControlRecord, signer: Signer) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Key, value and headers of the Kafka record."""
    key = record.record_id.encode()
    value = record.model_dump_json().encode()
    signature = signer.sign(_message(key, value, signer.name))
    return key, value, [(SIGNED_BY, signer.name.encode()), (SIGNATURE, signature)]


def encode_removal(record_id: str, signer: Signer) -> tuple[bytes, None, list[tuple[str, bytes]]]:
    """Key, no value and signed headers: a tombstone that ends a transport key's record."""
    key = record_id.encode()
    signature = signer.sign(_message(key, b"", signer.name))
    return key, None, [(SIGNED_BY, signer.name.encode()), (SIGNATURE, signature)]


def decode(
    key: bytes, value: bytes | None, headers: Headers, pinned: dict[str, KnownSigner]
) -> ControlRecord | None:
    """Verify and read one record; None is a verified removal. `pinned`: the custodian's and operators' keys.

    Raises TamperedRecord if it is not signed by one of them, not readable, or stands under another id.
    """
    by_name = index(headers)
    try:
        by = by_name[SIGNED_BY].decode("ascii")
        signature = by_name[SIGNATURE]
    except (KeyError, UnicodeDecodeError) as exc:
        raise TamperedRecord("a control record is not signed") from exc
    signer = pinned.get(by)
    if signer is None:
        raise TamperedRecord("a control record is signed by nobody pinned")
    if len(key) > _LONGEST_KEY:
        raise TamperedRecord("a control record's key is longer than any of ours")
    signer.verify(signature, _message(key, value or b"", by), Right.SIGN_CONTROL)
    if not value:
        return None
    try:
        record = _ADAPTER.validate_json(value)
        matches = record.record_id.encode() == key
    except (ValidationError, ValueError) as exc:
        raise TamperedRecord("a control record cannot be read") from exc
    if not matches:
        raise TamperedRecord("a control record stands under another id")
    return record


class ControlView:
    """What control says now. Applying the same records in the same order gives the same view."""

    def __init__(self, pinned: dict[str, KnownSigner]) -> None:
        self._pinned = pinned
        self.signers: dict[str, KnownSigner] = dict(pinned)
        self.tenants: dict[UUID, TenantRecord] = {}
        self.slots: dict[str, SlotRecord] = {}
        self.accounts: dict[UUID, AccountRecord] = {}
        self.changes = 0
        """How many records were applied: what was concluded at another count may not hold any more."""
        self.grants: dict[UUID, GrantRecord] = {}
        self._transport: dict[str, dict[bytes, tuple[TransportKeyRecord, HybridPublicKey]]] = {}
        self._by_id: dict[tuple[IdKind, str], tuple[AccountRecord, ...]] = {}

    def apply(self, key: bytes, value: bytes | None, headers: Headers) -> ControlRecord | None:
        """Apply one record in topic order; None for a removal. Raises TamperedRecord and leaves the view as it was."""
        record = decode(key, value, headers, self._pinned)
        self.changes += 1
        match record:
            case None:
                self._remove(key)
            case SignerRecord():
                if record.name not in self._pinned:
                    self.signers[record.name] = KnownSigner(
                        record.name, record.public_key, record.may, record.others
                    )
            case TransportKeyRecord():
                public = HybridPublicKey.from_bytes(record.public_key)
                self._transport.setdefault(record.recipient, {})[public.key_id] = (record, public)
            case SlotRecord():
                self.slots[record.slot] = record
            case TenantRecord():
                self.tenants[record.tenant] = record
            case AccountRecord():
                self._put_account(record)
            case GrantRecord():
                known = self.grants.get(record.grant)
                if known is not None and known.state == "ended" and record.state == "active":
                    raise TamperedRecord("a grant that ended does not begin again")
                self.grants[record.grant] = record
        return record

    def signer(self, name: str) -> KnownSigner | None:
        """The known signer of that name."""
        return self.signers.get(name)

    def accounts_named(self, kind: IdKind, value: str) -> tuple[AccountRecord, ...]:
        """All connected accounts with that id: none, one, or (a contradiction) several."""
        return self._by_id.get((kind, value), ())

    def slot_of(self, slot: str) -> SlotRecord | None:
        """The slot record, or None."""
        return self.slots.get(slot)

    def sealing_key(self, recipient: str, now: datetime) -> tuple[HybridPublicKey, datetime] | None:
        """The key to seal to now, with its `seal_until`: of those active, the youngest. None: fail closed."""
        usable = [
            (record.active_from, public, record.seal_until)
            for record, public in self._transport.get(recipient, {}).values()
            if record.active_from <= now < record.seal_until
        ]
        if not usable:
            return None
        _, public, until = max(usable, key=lambda entry: entry[0])
        return public, until

    def transport_keys(self, recipient: str) -> tuple[TransportKeyRecord, ...]:
        """All published keys of a recipient, oldest first."""
        records = (record for record, _ in self._transport.get(recipient, {}).values())
        return tuple(sorted(records, key=lambda record: record.active_from))

    def ended_transport_keys(self, before: datetime) -> tuple[TransportKeyRecord, ...]:
        """Keys whose `seal_until` lies before that moment: their records may be removed."""
        return tuple(
            record
            for keys in self._transport.values()
            for record, _ in keys.values()
            if record.seal_until < before
        )

    def _remove(self, key: bytes) -> None:
        kind, _, rest = key.decode("utf-8", "replace").partition("/")
        recipient, _, key_id = rest.rpartition("/")
        if kind != "transport":
            raise TamperedRecord("only a transport key's record can be removed")
        for known in [one for one in self._transport.get(recipient, {}) if one.hex() == key_id]:
            del self._transport[recipient][known]

    def _put_account(self, record: AccountRecord) -> None:
        previous = self.accounts.get(record.account)
        if previous is not None and record.said_at < previous.said_at:
            # Rightly signed, once: put back by somebody it would undo the withdrawal of a consent.
            raise TamperedRecord("an account's record is older than what control said already")
        self.accounts[record.account] = record
        touched = {(one.kind, one.value) for known in (previous, record) if known for one in known.ids}
        for name in touched:
            others = tuple(one for one in self._by_id.get(name, ()) if one.account != record.account)
            named = any((one.kind, one.value) == name for one in record.ids)
            now = (*others, record) if record.state == "connected" and named else others
            if now:
                self._by_id[name] = now
            else:
                self._by_id.pop(name, None)


def pinned_signers(entries: dict[str, str]) -> dict[str, KnownSigner]:
    """Signers pinned in settings: name to base64 of the 32 public bytes; each may sign control records too."""
    return {
        name: KnownSigner(
            name,
            b64decode(encoded, validate=True),
            RIGHTS_BY_PROCESS.get(name, frozenset()) | {Right.SIGN_CONTROL},
        )
        for name, encoded in entries.items()
    }
