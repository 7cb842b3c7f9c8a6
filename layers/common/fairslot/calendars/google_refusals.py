"""What Google Calendar's refusals mean for a source.

https://developers.google.com/workspace/calendar/api/guides/errors
"""

from collections.abc import Iterator
from http import HTTPStatus

from fairslot.calendars.interface import CalendarError
from fairslot.calendars.provider_api import Answer, refusal_of

# Quotas are counted by the minute, but for the few that are a day's.
_LIMITED = {
    "rateLimitExceeded": 60.0,
    "userRateLimitExceeded": 60.0,
    "quotaExceeded": 3_600.0,
    "dailyLimitExceeded": 3_600.0,
    "calendarUsageLimitsExceeded": 3_600.0,
}
# The coach has not allowed it: a connection with the missing scope would.
_NOT_GRANTED = frozenset({"insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"})
# The operator's project lacks something, and no coach can mend that.
_NOT_SET_UP = frozenset({"accessNotConfigured", "SERVICE_DISABLED"})
# One event is not to be changed by us; the calendar is.
_ONE_EVENT = frozenset({"forbiddenForNonOrganizer", "eventTypeRestriction"})


def refusal(answer: Answer) -> CalendarError:
    """Return the error of a refused request, and whether it ends the source.

    A calendar that is not found is gone or no longer shared; a 403 without a passing cause is final.
    """
    reasons = frozenset(_reasons(answer))
    limited = [_LIMITED[reason] for reason in reasons if reason in _LIMITED]
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS or (answer.status == HTTPStatus.FORBIDDEN and limited):
        return CalendarError("rate_limited", after=answer.after or max(limited, default=60.0))
    if answer.status == HTTPStatus.NOT_FOUND:
        return CalendarError("not_found", ended="unsupported")
    if answer.status != HTTPStatus.FORBIDDEN:
        return refusal_of(answer)
    if reasons & _NOT_GRANTED:
        return CalendarError("forbidden", ended="disconnected")
    if reasons & _NOT_SET_UP:
        return CalendarError("forbidden", after=answer.after or 3_600.0)
    return CalendarError("forbidden", ended=None if reasons & _ONE_EVENT else "unsupported")


def _reasons(answer: Answer) -> Iterator[str]:
    """Yield the reasons of an error, in the form of this API and of Google's newer ones."""
    error = answer.body.get("error")
    if not isinstance(error, dict):
        return
    for part in ("errors", "details"):
        listed = error.get(part)
        for one in listed if isinstance(listed, list) else ():
            if isinstance(one, dict) and isinstance(one.get("reason"), str):
                yield one["reason"]
