"""Everything that can go wrong on purpose.

FairslotError
├── ValidationError            the request is well formed but cannot be meant
│   ├── MalformedRequestError  the request cannot be read
│   └── PayloadTooLargeError
├── AuthenticationError
├── ForbiddenError
├── NotFoundError
├── MethodNotAllowedError
├── ConflictError
│   ├── SlotUnavailableError
│   ├── EndpointExistsError
│   ├── IllegalTransitionError
│   ├── HoldLimitError
│   └── IdempotencyInProgressError
├── HoldExpiredError
├── IdempotencyKeyReusedError
├── RateLimitError
└── UnavailableError           something that we depend on does not answer
    └── QueueError
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

_REFUSALS = {
    "inactive": "The calendar is not offered.",
    "minimum_notice": "That is sooner than the notice that the calendar wants.",
    "beyond_horizon": "That is further ahead than the calendar opens.",
    "outside_working_hours": "The calendar is closed on that day.",
    "daily_maximum": "The calendar has as many appointments on that day as it takes.",
}
_TIMINGS = {
    "not_started": "The appointment is {} and has not begun.",
    "has_started": "The appointment is {} and has begun.",
}


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """What is left of a client's requests a minute: `reset` is in how many seconds more are allowed."""

    limit: int
    remaining: int
    reset: int


class FairslotError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "INTERNAL_ERROR"

    def __init__(self, message: str | None = None, details: Sequence[tuple[str, str]] = ()) -> None:
        """Take the class's docstring as the message where none is given.

        The details are for machines: (dotted location in the request, or member of the thing; what is wrong
        with it) each.
        """
        self.message = message or (type(self).__doc__ or "").strip()
        self.details = tuple(details)
        super().__init__(self.message)


class ValidationError(FairslotError):
    """The request is not valid."""

    code = "VALIDATION_ERROR"


class MalformedRequestError(ValidationError):
    """The request cannot be read."""


class PayloadTooLargeError(ValidationError):
    """The request's body is too large."""

    code = "PAYLOAD_TOO_LARGE"


class AuthenticationError(FairslotError):
    """A valid API key is needed."""

    code = "AUTHENTICATION_FAILED"


class ForbiddenError(FairslotError):
    """This key may not do that."""

    code = "FORBIDDEN"


class NotFoundError(FairslotError):
    """There is no such thing."""

    code = "NOT_FOUND"


class MethodNotAllowedError(FairslotError):
    """This path is not for that method; Allow names those that it is for."""

    code = "METHOD_NOT_ALLOWED"

    def __init__(self, allowed: Collection[str] = ()) -> None:
        """Keep the methods that the path is for, sorted."""
        super().__init__()
        self.allowed = sorted(allowed)


class ConflictError(FairslotError):
    """The state of things does not allow that."""

    code = "CONFLICT"


class SlotUnavailableError(ConflictError):
    """No coach is free at that time."""

    code = "SLOT_UNAVAILABLE"

    def __init__(self, reason: str | None = None) -> None:
        """Say why the calendar itself takes nothing then, in the words of explaining; else nobody is free."""
        super().__init__(_REFUSALS.get(reason or ""), [("start_time", reason or "no_coach_free")])


class EndpointExistsError(ConflictError):
    """An endpoint with this address already exists."""


class IllegalTransitionError(ConflictError):
    """The appointment's state does not allow that."""

    code = "ILLEGAL_TRANSITION"

    def __init__(self, current: str, timing: str | None = None) -> None:
        """Name the state that the appointment is in, and whether its start is what stands in the way."""
        super().__init__(
            _TIMINGS.get(timing or "", "The appointment is {}; that state does not allow this.").format(
                current
            ),
            [("status", current), *([("start_time", timing)] if timing else [])],
        )
        self.current = current


class HoldLimitError(ConflictError):
    """This client holds as many times as it may."""

    code = "HOLD_LIMIT_REACHED"


class HoldExpiredError(FairslotError):
    """The hold is gone: it has expired, was released, or is booked already."""

    code = "HOLD_EXPIRED"


class IdempotencyInProgressError(ConflictError):
    """A request with this idempotency key is being worked on."""

    code = "IDEMPOTENCY_IN_PROGRESS"


class IdempotencyKeyReusedError(FairslotError):
    """This idempotency key was used with another request."""

    code = "IDEMPOTENCY_KEY_REUSED"


class RateLimitError(FairslotError):
    """Too many requests with this key."""

    code = "RATE_LIMIT_EXCEEDED"

    def __init__(self, allowance: Allowance, message: str | None = None) -> None:
        """Keep what the client was allowed and when it is again."""
        super().__init__(message)
        self.allowance = allowance


class UnavailableError(FairslotError):
    """Something that this depends on does not answer; try again."""

    code = "SERVICE_UNAVAILABLE"


class QueueError(UnavailableError):
    """The queue did not take every message."""

    def __init__(self, untaken: Sequence[int] = ()) -> None:
        """Name the messages that the queue did not take, by their position in the call, ascending."""
        super().__init__()
        self.untaken = tuple(sorted(untaken))
