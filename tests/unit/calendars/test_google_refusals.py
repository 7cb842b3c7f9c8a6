"""What Google's refusals mean for a source."""

from typing import Any

import pytest

from fairslot.calendars.google_refusals import refusal
from fairslot.calendars.provider_api import Answer


def of(status: int, *reasons: object, **headers: str) -> tuple[str, float, str | None]:
    """Return reason, seconds to wait, and what has ended, of a refusal in the form of this API."""
    errors = [{"domain": "global", "reason": reason} for reason in reasons]
    body = {"error": {"code": status, "errors": errors}}
    return _read(
        Answer(status=status, headers={k.replace("_", "-"): v for k, v in headers.items()}, body=body)
    )


def _read(answer: Answer) -> tuple[str, float, str | None]:
    error = refusal(answer)
    return error.reason, error.after, error.ended


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((401, "authError"), ("unauthorized", 0, None)),
        ((403, "rateLimitExceeded"), ("rate_limited", 60, None)),
        ((403, "userRateLimitExceeded"), ("rate_limited", 60, None)),
        ((403, "quotaExceeded"), ("rate_limited", 3600, None)),
        ((403, "calendarUsageLimitsExceeded"), ("rate_limited", 3600, None)),
        ((403, "forbiddenForServiceAccounts"), ("forbidden", 0, "unsupported")),
        ((403, "requiredAccessLevel"), ("forbidden", 0, "unsupported")),
        ((403,), ("forbidden", 0, "unsupported")),
        ((403, "insufficientPermissions"), ("forbidden", 0, "disconnected")),
        ((403, "accessNotConfigured"), ("forbidden", 3600, None)),
        ((403, "forbiddenForNonOrganizer"), ("forbidden", 0, None)),
        ((404, "notFound"), ("not_found", 0, "unsupported")),
        ((409, "duplicate"), ("conflict", 0, None)),
        ((410, "deleted"), ("http_410", 0, None)),
        ((412, "conditionNotMet"), ("conflict", 0, None)),
        ((429, "rateLimitExceeded"), ("rate_limited", 60, None)),
        ((429,), ("rate_limited", 60, None)),
        ((400, "invalid"), ("http_400", 0, None)),
        ((500, "backendError"), ("http_500", 0, None)),
        ((503,), ("http_503", 0, None)),
        # A passing cause beside a lasting one.
        ((403, "insufficientPermissions", "rateLimitExceeded"), ("rate_limited", 60, None)),
    ],
)
def test_each_has_its_reaction(given: tuple[Any, ...], expected: tuple[str, float, str | None]) -> None:
    """Only a calendar that is gone, and what nobody has allowed, end a source."""
    assert of(*given) == expected


def test_what_google_asks_to_wait_comes_first() -> None:
    """Retry-After, in seconds."""
    assert of(403, "rateLimitExceeded", Retry_After="7") == ("rate_limited", 7, None)
    assert of(503, Retry_After="9") == ("http_503", 9, None)


def test_the_newer_form_of_errors_is_read() -> None:
    """Google's newer APIs have their reasons in `details`."""
    details = [
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}
    ]
    body = {"error": {"code": 403, "status": "PERMISSION_DENIED", "details": details}}
    assert _read(Answer(status=403, headers={}, body=body)) == ("forbidden", 0, "disconnected")


@pytest.mark.parametrize(
    "body", [{}, {"error": "denied"}, {"error": {"errors": "x", "details": [7, {"reason": []}]}}]
)
def test_a_body_of_another_kind_says_nothing(body: dict[str, Any]) -> None:
    """The status speaks alone."""
    assert _read(Answer(status=403, headers={}, body=body)) == ("forbidden", 0, "unsupported")
