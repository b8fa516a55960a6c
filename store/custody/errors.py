"""What the custodian and the operator's commands may answer beyond the errors of `contracts.errors`."""

from __future__ import annotations

from contracts.errors import ServiceError, TransientError


class NoFreeSlot(TransientError):
    """No free slot of the wanted size: the next pass makes one."""

    code = "no_free_slot"


class OperatorError(ServiceError):
    """A command asks for something that cannot be done; nothing was changed."""

    code = "operator_error"


class AccountIdTaken(OperatorError):
    """Another connected account already has one of these ids."""

    code = "account_id_taken"


class UnknownName(OperatorError):
    """No tenant or account of that name or id."""

    code = "unknown_name"


class NameTaken(OperatorError):
    """A tenant of that name exists."""

    code = "name_taken"


class GrantExists(OperatorError):
    """That reader has an active grant for that tenant."""

    code = "grant_exists"


class GrantNotApplied(OperatorError):
    """The custodian did not bring the servers to what was asked in time: is it running? What was asked stands."""

    code = "grant_not_applied"


class TenantNotReady(OperatorError):
    """The tenant was not ready in time: is the custodian running?"""

    code = "tenant_not_ready"


class NothingToApprove(OperatorError):
    """No request of that id waits for a second person."""

    code = "nothing_to_approve"


class NothingToPreview(OperatorError):
    """The request takes nothing itself, or has taken it already."""

    code = "nothing_to_preview"


class AnotherRequest(OperatorError):
    """A request of that id exists and is not this one."""

    code = "another_request"


class NotForWhoAsked(OperatorError):
    """An approval is another person's than who asked."""

    code = "not_for_who_asked"
