"""The words of receipts: closed lists, so that no text of a receipt is free. PRIVACY.md section 3 "Receipt"."""

from __future__ import annotations

from enum import StrEnum


class Method(StrEnum):
    """How data went, or will go, out of one system."""

    KEY_DESTROYED = "key_destroyed"
    """Its only key is gone: what is left of the ciphertext opens with nothing."""
    ROW_DELETED = "row_deleted"
    DELETED_BY_META = "deleted_by_meta"
    """Meta said that it deleted."""
    NOT_CONFIRMED = "not_confirmed"
    """Meta was asked, again and again, and did not say so."""
    EXPIRES_ON = "expires_on"
    """A copy that only time removes: the key that wraps its key, or the record itself, ends on that date."""


class IdentityCheck(StrEnum):
    """How it was made sure that this is about the right person."""

    SIGNED_BY_META = "signed_by_meta"
    """Meta's own signed message named the message, the account or the app-scoped id."""
    CONFIRMED_BY_OPERATOR = "confirmed_by_operator"
    """An operator named the person after the tenant or a control code had identified them."""
    LISTED_BY_META = "listed_by_meta"
    """An entry of the deletion list of Meta's dashboard."""
    ACCOUNT_ADMINISTRATOR = "account_administrator"
    """The account's administrator withdrew consent or disconnected the account."""
    SAME_PERSON = "same_person"
    """An identifier of somebody already erased."""


class Category(StrEnum):
    """Categories of data that can be erased."""

    MESSAGES = "messages"
    """Rows with content: messages, reactions, comments, statuses."""
    IDENTIFIERS = "identifiers"
    """Pseudonyms of a person, fenced from now on."""
    KEYS = "keys"
    """Keys of persons."""
    CONTACT_DATA = "contact_data"
    MEDIA_REFERENCES = "media_references"
    LINKS = "links"
    QUARANTINED = "quarantined"
    """Records set aside that cannot be put back any more."""
    DETAILS = "details"
    """What the request itself said of the person."""


class System(StrEnum):
    """Everything that can hold a copy."""

    SUBJECT_KEYS = "postgres.subject_keys"
    ROWS = "postgres.rows"
    ROW_METADATA = "postgres.row_metadata"
    """Of rows that were deleted: pseudonyms and times, which no key covers, in base backups and write-ahead log. Receipts of
    version 1 and 2 said `postgres.rows` of these, too."""
    WAL_AND_BACKUPS = "postgres.wal_and_backups"
    """Write-ahead log, base backups, replicas: their keys are wrapped under a root epoch that ends."""
    KEY_EXPORTS = "key_exports"
    RAW = "kafka.raw"
    QUARANTINE_RAW = "kafka.quarantine_raw"
    TENANT_EVENTS = "kafka.tenant_events"
    QUARANTINE_TENANT = "kafka.quarantine_tenant"
    REQUESTS = "kafka.erasure_requests"
    DOWNSTREAM = "downstream"
    """Services that the tenant lets read its topic."""
    META_CONTACT_BOOK = "meta.contact_book"


class KeptThing(StrEnum):
    """What stays after an erasure."""

    FENCE = "fence"
    """Suppression data, so that a restored backup erases again: pseudonyms, generation, watermark."""
    TOMBSTONES = "tombstones"
    """Message refs without content, so that a replayed history does not bring a message back."""
    EVIDENCE = "evidence"
    """The request's states, this receipt, the audit log."""
    ACCESS_RECORDS = "access_records"
    """Who read personal data, when and why: without the data."""
    HELD = "held"
    """Cells under a legal hold."""


class Norm(StrEnum):
    """Why something may stay."""

    LGPD_16_I = "LGPD art. 16, I"
    """Compliance with a legal obligation."""
    LGPD_37 = "LGPD art. 37"
    """Records of processing."""
    MARCO_CIVIL_15 = "Marco Civil da Internet art. 15"
    GDPR_17_3_B = "GDPR art. 17(3)(b)"
    GDPR_5_2 = "GDPR art. 5(2)"
    ORDER = "order of an authority"


class Audience(StrEnum):
    """Who is told of an erasure."""

    STORES = "stores"
    """Our own databases, by the fence."""
    TENANT_READERS = "tenant_readers"
    """Every reader of the tenant's topic, by `subject.erased` on each partition."""
    META = "meta"
    REQUESTER = "requester"
    """By the status page of the confirmation code."""
