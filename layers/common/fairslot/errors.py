"""Everything that can go wrong on purpose.

FairslotError
├── ValidationError            the request is well formed but cannot be meant
│   ├── MalformedRequestError  the request cannot be read
│   └── PayloadTooLargeError
├── AuthenticationError
├── ForbiddenError
├── NotFoundError
├── ConflictError
│   ├── SlotUnavailableError
│   ├── IllegalTransitionError
│   ├── HoldLimitError
│   └── IdempotencyInProgressError
├── HoldExpiredError
├── IdempotencyKeyReusedError
├── RateLimitError
└── UnavailableError           something that we depend on does not answer
    └── QueueError
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """What is left of a client's requests a minute: `reset` is in how many seconds more are allowed."""

    limit: int
    remaining: int
    reset: int


class FairslotError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "INTERNAL_ERROR"

    def __init__(self, message: str | None = None) -> None:
        """Take the class's docstring as the message where none is given."""
        self.message = message or (type(self).__doc__ or "").strip()
        super().__init__(self.message)


class ValidationError(FairslotError):
    """The request is not valid."""

    code = "VALIDATION_ERROR"

    def __init__(self, message: str | None = None, details: Sequence[tuple[str, str]] = ()) -> None:
        """Keep the places that are wrong: (dotted location, kind of error) each."""
        super().__init__(message)
        self.details = tuple(details)


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


class ConflictError(FairslotError):
    """The state of things does not allow that."""

    code = "CONFLICT"


class SlotUnavailableError(ConflictError):
    """No coach is free at that time."""

    code = "SLOT_UNAVAILABLE"


class IllegalTransitionError(ConflictError):
    """The appointment's state does not allow that."""

    code = "ILLEGAL_TRANSITION"

    def __init__(self, current: str) -> None:
        """Name the state that the appointment is in."""
        super().__init__(f"The appointment is {current}; that state does not allow this.")
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

    def __init__(self, allowance: Allowance) -> None:
        """Keep what the client was allowed and when it is again."""
        super().__init__()
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
