"""Google Calendar is read, and every refusal has its reaction."""

from datetime import timedelta

import pytest

from fairslot.domain.slots import Window, slot_of
from tests.support.google import (
    DAY,
    FREE,
    HOUR,
    WINDOW,
    GoogleAccount,
    GoogleStandIn,
    at,
    event,
    refusal,
    run,
)


def test_ten_pages_are_read(standin: GoogleStandIn) -> None:
    """The last event is on the last; a page has what the provider likes."""
    ana = standin.account(page_size=3)
    for _ in range(27):
        ana.add(**at(DAY - 48 * HOUR, 72 * HOUR), transparency="transparent")
    ana.add(**at(DAY))
    before = len(standin.calls())
    assert run(ana.calendar().free(WINDOW)).bits == 0b00001111
    asked = standin.calls()[before:]
    assert len(asked) == 10
    assert all("maxResults=2500" in one for one in asked)


def test_a_page_that_fails_fails_the_reading(standin: GoogleStandIn) -> None:
    """Half a calendar is none."""
    ana = standin.account(page_size=1)
    for _ in range(3):
        ana.add(**at(DAY - 2 * HOUR, 4 * HOUR), transparency="transparent")
    standin.next("lost", "GET")
    assert refusal(ana.calendar().free(WINDOW))[0] == "connection"


def test_no_title_place_or_guest_is_asked_for(ana: GoogleAccount, standin: GoogleStandIn) -> None:
    """By the mask: what is not sent cannot be lost."""
    ana.add(**at(DAY), summary="Dentist", location="Berlin", attendees=[{"email": "x@example.com"}])
    run(ana.calendar().free(WINDOW))
    mask = standin.calls()[-1].partition("fields=")[2].partition("&")[0]
    assert not [one for one in ("summary", "description", "location", "email") if one in mask]


def test_a_series_is_read_by_its_occurrences(ana: GoogleAccount) -> None:
    """One was moved, and one taken away."""
    daily = {"recurrence": ["RRULE:FREQ=DAILY;COUNT=4"]}
    start = {"dateTime": "2026-11-28T10:00:00", "timeZone": "Europe/Berlin"}
    end = {"dateTime": "2026-11-28T11:00:00", "timeZone": "Europe/Berlin"}
    series = ana.add(start=start, end=end, **daily)
    assert run(ana.calendar().free(WINDOW)).bits == 0b00001111
    moved = {"recurringEventId": series["id"], "originalStartTime": {"dateTime": DAY.isoformat()}}
    ana.add(**moved, **at(DAY + HOUR))
    assert run(ana.calendar().free(WINDOW)).bits == 0b11110000


def test_free_busy_alone_is_asked_for_sixty_days_at_a_time(standin: GoogleStandIn) -> None:
    """Where the scopes allow no events."""
    ana = standin.account(scopes=["https://www.googleapis.com/auth/calendar.freebusy"])
    ana.add(**at(DAY + timedelta(days=100)))
    calendar = ana.calendar(free_busy_only=True)
    before = len(standin.calls())
    found = run(calendar.free(Window(slot_of(DAY), 150 * 96)))
    assert standin.calls()[before:] == ["POST /freeBusy"] * 3
    taken = ((1 << 4) - 1) << (150 * 96 - 100 * 96 - 4)
    assert found.bits == ((1 << 150 * 96) - 1) & ~taken
    assert not found.sees_own
    assert refusal(ana.calendar().free(WINDOW)) == ("forbidden", 0, "disconnected")


def test_a_calendar_that_free_busy_does_not_find_is_never_free(ana: GoogleAccount) -> None:
    """The error is inside a 200."""
    calendar = ana.calendar(free_busy_only=True, calendar_id="gone@group.calendar.google.com")
    assert refusal(calendar.free(WINDOW)) == ("not_found", 0, "unsupported")


def test_an_expired_token_is_refreshed_once(ana: GoogleAccount, standin: GoogleStandIn) -> None:
    """And the request is sent again."""
    calendar = ana.calendar()
    run(calendar.free(WINDOW))
    ana.control("expire")
    ana.add(**at(DAY))
    before = len(standin.calls())
    assert run(calendar.free(WINDOW)).bits == 0b00001111
    assert len(standin.calls()) - before == 2


def test_a_token_that_stays_refused_ends_nothing(ana: GoogleAccount, standin: GoogleStandIn) -> None:
    """After one refresh."""
    for _ in range(2):
        standin.refuse("GET", 401, "authError")
    assert refusal(ana.calendar().free(WINDOW)) == ("unauthorized", 0, None)
    assert run(ana.calendar().free(WINDOW)).bits == FREE


def test_a_revoked_grant_disconnects(ana: GoogleAccount) -> None:
    """Google's word is invalid_grant; it comes at the next refresh."""
    calendar = ana.calendar()
    run(calendar.free(WINDOW))
    ana.control("revoke")
    assert refusal(calendar.free(WINDOW)) == ("access_revoked", 0, "disconnected")


def test_a_refresh_that_is_lost_disconnects_nothing(ana: GoogleAccount, standin: GoogleStandIn) -> None:
    """Nor does one that finds Google out of order."""
    standin.next("lost", "POST", "/token")
    assert refusal(ana.calendar().free(WINDOW)) == ("connection", 0, None)
    standin.next("refused", "POST", "/token", status=503, body={"error": "invalid_grant"})
    assert refusal(ana.calendar().free(WINDOW)) == ("http_503", 0, None)
    assert run(ana.calendar().free(WINDOW)).bits == FREE


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (403, "rateLimitExceeded", ("rate_limited", 60, None)),
        (403, "userRateLimitExceeded", ("rate_limited", 60, None)),
        (403, "quotaExceeded", ("rate_limited", 3600, None)),
        (429, "rateLimitExceeded", ("rate_limited", 60, None)),
        (403, "insufficientPermissions", ("forbidden", 0, "disconnected")),
        (403, "forbidden", ("forbidden", 0, "unsupported")),
        (404, "notFound", ("not_found", 0, "unsupported")),
        (410, "updatedMinTooLongAgo", ("http_410", 0, None)),
        (500, "backendError", ("http_500", 0, None)),
        (503, "backendError", ("http_503", 0, None)),
    ],
)
def test_each_refusal_has_its_reaction(
    ana: GoogleAccount,
    standin: GoogleStandIn,
    status: int,
    reason: str,
    expected: tuple[str, float, str | None],
) -> None:
    """Of a reading and of a write alike; nothing is free or written meanwhile."""
    standin.refuse("GET", status, reason)
    assert refusal(ana.calendar().free(WINDOW)) == expected
    standin.refuse("POST", status, reason)
    assert refusal(ana.calendar().put(event(ana))) == expected
    assert ana.mine() == []


def test_the_minutes_quota_is_told_from_a_lasting_refusal(standin: GoogleStandIn) -> None:
    """As the stand-in counts it."""
    ana = standin.account(quota=1)
    run(ana.calendar().free(WINDOW))
    assert refusal(ana.calendar().free(WINDOW)) == ("rate_limited", 60, None)


def test_a_calendar_that_is_no_longer_shared_ends_its_source(ana: GoogleAccount) -> None:
    """404, of a calendar that was read before."""
    run(ana.calendar().free(WINDOW))
    ana.control("unshare")
    assert refusal(ana.calendar().free(WINDOW)) == ("not_found", 0, "unsupported")
    assert refusal(ana.calendar().put(event(ana))) == ("not_found", 0, "unsupported")


def test_a_calendar_that_may_only_be_read_refuses_writes(standin: GoogleStandIn) -> None:
    """It is read all the same."""
    ana = standin.account(role="reader")
    assert refusal(ana.calendar().put(event(ana))) == ("forbidden", 0, "unsupported")
    assert run(ana.calendar().free(WINDOW)).bits == FREE
