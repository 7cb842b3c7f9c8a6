"""Every error that a client can get.

FairslotError
├── ValidationError            the request is well-formed but invalid
│   ├── MalformedRequestError  the request is malformed
│   └── PayloadTooLargeError
├── AuthenticationError
├── ForbiddenError
├── NotFoundError
├── MethodNotAllowedError
├── ConflictError
│   ├── SlotUnavailableError
│   ├── EndpointExistsError
│   ├── SlugTakenError
│   ├── AppointmentsAffectedError
│   ├── IllegalTransitionError
│   ├── HoldLimitError
│   └── IdempotencyInProgressError
├── PreconditionFailedError
├── HoldExpiredError
├── IdempotencyKeyReusedError
├── RateLimitError
└── UnavailableError           a dependency does not answer
    └── QueueError
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

_UNAVAILABLE = {
    "inactive": "The calendar is inactive; choose another calendar.",
    "minimum_notice": "The start is within the calendar's minimum notice; choose a later one.",
    "beyond_horizon": "The start is beyond the calendar's booking horizon; choose an earlier one.",
    "outside_working_hours": "The calendar is closed on that day; choose another day.",
    "daily_maximum": "The calendar is at its daily maximum; choose another day.",
}
_TIMINGS = {
    "not_started": "The appointment is {} and has not started; report its outcome after its start.",
    "has_started": "The appointment is {} and has started; it can be changed before its start only.",
}


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """What is left of a limit a minute; in `reset` seconds there is room for another request."""

    limit: int
    remaining: int
    reset: int


class FairslotError(Exception):
    """Internal error; try again, and report it with its X-Request-Id if it persists."""

    code: ClassVar[str] = "INTERNAL_ERROR"

    def __init__(self, message: str | None = None, details: Sequence[tuple[str, str]] = ()) -> None:
        """Keep the message, by default the class's docstring, and the details.

        Details are for programs, each a pair: a dotted location in the request, or a member of the resource,
        and what is wrong there.
        """
        self.message = message or (type(self).__doc__ or "").strip()
        self.details = tuple(details)
        super().__init__(self.message)


class ValidationError(FairslotError):
    """The request is invalid; `details` says where."""

    code = "VALIDATION_ERROR"


class MalformedRequestError(ValidationError):
    """The request is malformed; `details` says where, if it is known."""


class PayloadTooLargeError(ValidationError):
    """The body is too large; send less."""

    code = "PAYLOAD_TOO_LARGE"

    def __init__(self, largest: int | None = None) -> None:
        """Say how many bytes a body may have."""
        super().__init__(
            None if largest is None else f"The body is larger than {largest // 1024} KiB; send less."
        )


class AuthenticationError(FairslotError):
    """The API key, token or signature is missing or invalid; send a valid one."""

    code = "AUTHENTICATION_FAILED"


class ForbiddenError(FairslotError):
    """The API key does not have the scope of this route; use one that has it."""

    code = "FORBIDDEN"


class NotFoundError(FairslotError):
    """There is no such resource; check its id."""

    code = "NOT_FOUND"


class MethodNotAllowedError(FairslotError):
    """The path does not have this method; the header Allow lists those that it has."""

    code = "METHOD_NOT_ALLOWED"

    def __init__(self, allowed: Collection[str] = ()) -> None:
        """Keep the methods that the path has, sorted."""
        super().__init__()
        self.allowed = sorted(allowed)


class ConflictError(FairslotError):
    """The current state does not allow this change; read the resource again."""

    code = "CONFLICT"


class SlotUnavailableError(ConflictError):
    """No coach is free at that time; choose another start."""

    code = "SLOT_UNAVAILABLE"

    def __init__(self, reason: str | None = None) -> None:
        """Take the calendar's reason, as `explain` names it; without one no coach is free."""
        super().__init__(_UNAVAILABLE.get(reason or ""), [("start_time", reason or "no_coach_free")])


class EndpointExistsError(ConflictError):
    """An endpoint with this address already exists."""


class SlugTakenError(ConflictError):
    """Another calendar has this slug; choose another one."""

    code = "SLUG_TAKEN"

    def __init__(self, place: str = "body.slug") -> None:
        """Name the member, by its place in the request."""
        super().__init__(details=[(place, "taken")])


class AppointmentsAffectedError(ConflictError):
    """Appointments would no longer fit, see `plan`; say `appointments=reassign`, `cancel` or `keep`."""

    code = "APPOINTMENTS_AFFECTED"

    def __init__(self, plan: Mapping[str, Any] | None = None, message: str | None = None) -> None:
        """Keep the plan: what the change would do, as JSON."""
        super().__init__(message)
        self.plan = plan or {}


class IllegalTransitionError(ConflictError):
    """The appointment's status or start does not allow this change; read it again."""

    code = "ILLEGAL_TRANSITION"

    def __init__(self, current: str, timing: str | None = None) -> None:
        """Name the appointment's status, and whether its start is what prevents the change."""
        super().__init__(
            _TIMINGS.get(
                timing or "", "The appointment is {}; that status does not allow this change."
            ).format(current),
            [("status", current), *([("start_time", timing)] if timing else [])],
        )
        self.current = current


class HoldLimitError(ConflictError):
    """The API key has as many holds as it may have; release one or wait until one expires."""

    code = "HOLD_LIMIT_REACHED"


class PreconditionFailedError(FairslotError):
    """The resource is not as `If-Match` or `If-None-Match` expects; read it again."""

    code = "PRECONDITION_FAILED"


class HoldExpiredError(FairslotError):
    """The hold has expired, was released, or is booked already; make a new one."""

    code = "HOLD_EXPIRED"


class IdempotencyInProgressError(ConflictError):
    """A request with this idempotency key is in progress; try again."""

    code = "IDEMPOTENCY_IN_PROGRESS"


class IdempotencyKeyReusedError(FairslotError):
    """The idempotency key was used for another request; use a new key."""

    code = "IDEMPOTENCY_KEY_REUSED"


class RateLimitError(FairslotError):
    """The API key is over its rate limit; wait for the seconds of Retry-After."""

    code = "RATE_LIMIT_EXCEEDED"

    def __init__(self, allowance: Allowance, message: str | None = None) -> None:
        """Keep the limit, and when there is room for another request."""
        super().__init__(message)
        self.allowance = allowance


class UnavailableError(FairslotError):
    """A dependency does not answer; try again after the seconds of Retry-After."""

    code = "SERVICE_UNAVAILABLE"


class QueueError(UnavailableError):
    """The queue did not take every message; try again."""

    def __init__(self, untaken: Sequence[int] = ()) -> None:
        """Name the messages that the queue did not take, by their position in the call, ascending."""
        super().__init__()
        self.untaken = tuple(sorted(untaken))
