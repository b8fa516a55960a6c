"""How an executor says that a job does not go on now: it was refused, or it waits for what is not its own work."""

from __future__ import annotations

from contracts.errors import PermanentError, TransientError
from contracts.outcomes import RefusalReason


class Refused(PermanentError):
    """The request may not be executed; nothing of it was."""

    code = "refused"

    def __init__(self, reason: RefusalReason) -> None:
        super().__init__("the request may not be executed")
        self.reason = reason


class NotYet(TransientError):
    """Nothing failed: the job waits for what is not its own work, and is looked at again after `wait_s` seconds."""

    code = "not_yet"

    def __init__(self, wait_s: float) -> None:
        super().__init__("the request waits for others")
        self.wait_s = wait_s
