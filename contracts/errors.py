"""Every error of the service, typed by what happens next.

`RequestRejected` answers an HTTP request; `PermanentError` sends an item to quarantine and the offset moves on;
`TransientError` is retried with backoff and then pauses (never quarantine); `FatalError` stops the process without
committing. The text is ours, made of constants: input is never interpolated, since texts reach logs.
"""

from __future__ import annotations

from typing import ClassVar


class ServiceError(Exception):
    """The root. `code` is a stable slug, used in logs, metric labels and record headers."""

    code: ClassVar[str] = "service_error"


class RequestRejected(ServiceError):
    """The HTTP request is refused with `http_status`."""

    code = "request_rejected"
    http_status: ClassVar[int] = 400


class InvalidSignature(RequestRejected):
    """The X-Hub-Signature-256 header is missing, malformed or does not match. META.md section 3."""

    code = "invalid_signature"
    http_status = 401

    def __init__(self, reason: str) -> None:
        """`reason`: one of the closed set missing, malformed, mismatch, no_secret."""
        super().__init__(reason)
        self.reason = reason


class MalformedRequest(RequestRejected):
    """The request cannot be a webhook or a callback of Meta's."""

    code = "malformed_request"
    http_status = 400


class VerifyTokenMismatch(RequestRejected):
    """The handshake's verify token is not the configured one. META.md section 2."""

    code = "verify_token_mismatch"
    http_status = 403


class UnknownApp(RequestRejected):
    """No app of that name is configured."""

    code = "unknown_app"
    http_status = 404


class PayloadTooLarge(RequestRejected):
    """The body is over the limit of 4 MiB."""

    code = "payload_too_large"
    http_status = 413


class RequestTimeout(RequestRejected):
    """Headers or body did not arrive before the deadline."""

    code = "request_timeout"
    http_status = 408


class Overloaded(RequestRejected):
    """Nothing was promised: the queue is full or old, or the broker did not acknowledge in time."""

    code = "overloaded"
    http_status = 503
    retry_after_s: ClassVar[int] = 5


class UnsupportedAlgorithm(RequestRejected):
    """A callback's payload names another algorithm than HMAC-SHA256. META.md section 15."""

    code = "unsupported_algorithm"
    http_status = 400


class TooManyRequests(RequestRejected):
    """The same thing was asked more often than anybody needs to."""

    code = "too_many_requests"
    http_status = 429
    retry_after_s: ClassVar[int] = 60


class PermanentError(ServiceError):
    """The item will never succeed: quarantine it with `code` as the reason, then go on."""

    code = "permanent_error"


class NotJson(PermanentError):
    """Validly signed bytes that are not JSON."""

    code = "not_json"


class ContractViolation(PermanentError):
    """JSON, but not of a shape that can be read."""

    code = "contract_violation"


class Unroutable(PermanentError):
    """No tenant can be found although the item names accounts (for instance they contradict each other)."""

    code = "unroutable"


class TamperedRecord(PermanentError):
    """A seal, signature, header or cell does not verify."""

    code = "tampered"


class KeyGone(PermanentError):
    """The record was sealed to a key whose private half has been destroyed on schedule."""

    code = "key_gone"


class TimeOutOfRange(PermanentError):
    """The item's own time is outside -190 days .. +5 minutes of the broker's time. DESIGN.md section 8."""

    code = "time_out_of_range"


class ReplayLimit(PermanentError):
    """The record was already replayed three times."""

    code = "replay_limit"


class ReceiptUnreadable(PermanentError):
    """The bytes are not those of a receipt: other members, another spelling, or no JSON."""

    code = "receipt_unreadable"


class ReceiptSignerUnknown(PermanentError):
    """The receipt names a key that is not among the company's public receipt keys."""

    code = "receipt_signer_unknown"


class ReceiptChanged(PermanentError):
    """The receipt's signature is not of its content."""

    code = "receipt_changed"


class TransientError(ServiceError):
    """Something is away for a while: retry with backoff, then pause. Never quarantine."""

    code = "transient_error"


class BrokerUnavailable(TransientError):
    """Kafka does not answer or does not acknowledge."""

    code = "broker_unavailable"


class AccessRefused(BrokerUnavailable):
    """Kafka answers, and does not let this client do that: a permission is missing, or was taken away."""

    code = "access_refused"


_AUTHORIZATION_FAILED = frozenset({29, 30, 31, 53})
"""Kafka's codes: topic, group, cluster, transactional id."""


def broker_error(exc: Exception, text: str) -> BrokerUnavailable:
    """The error of ours for a Kafka client's: refused, or merely away. `text` is a constant."""
    refused = getattr(exc, "errno", None) in _AUTHORIZATION_FAILED and not isinstance(exc, OSError)
    return AccessRefused(text) if refused else BrokerUnavailable(text)


class DatabaseUnavailable(TransientError):
    """Postgres does not answer."""

    code = "database_unavailable"


class KeyServiceUnavailable(TransientError):
    """The key provider does not answer."""

    code = "key_service_unavailable"


class KeyNotYetKnown(TransientError):
    """A key that should exist is not there yet: reload and try again."""

    code = "key_not_yet_known"


class PartitionMissing(TransientError):
    """A table partition inside the retention window does not exist yet; the custodian is woken."""

    code = "partition_missing"


class TenantSchemaUnknown(TransientError):
    """A tenant's schema is not of the number that this code knows: the custodian brings it there, or this code is old."""

    code = "tenant_schema_unknown"


class TenantUnavailable(TransientError):
    """One tenant's output fails while others succeed."""

    code = "tenant_unavailable"


class FatalError(ServiceError):
    """The process stops without committing."""

    code = "fatal_error"


class InvalidSettings(FatalError):
    """A setting is missing, unknown, contradictory or unsafe. Names the setting, never its value."""

    code = "invalid_settings"


class SchemaIncompatible(FatalError):
    """The database or topic is not of the version that this code knows."""

    code = "schema_incompatible"


class QuarantineLimit(FatalError):
    """Quarantine grows faster than anyone could look at: stop rather than drop."""

    code = "quarantine_limit"


class PositionLost(ServiceError):
    """Another owner moved this lane's position: rebuild the lane from the database. Nothing was written."""

    code = "position_lost"
