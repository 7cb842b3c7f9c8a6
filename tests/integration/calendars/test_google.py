"""Google Calendar against the stand-in: reads, writes that lose their answers, and every refusal."""

import asyncio
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from fairslot.calendars import access_tokens
from fairslot.calendars.event_ids import event_id
from fairslot.calendars.interface import CalendarError, Event, EventKey
from fairslot.domain.slots import Window, slot_of
from tests.support.environment import clear_caches
from tests.support.google import GoogleAccount, GoogleStandIn, google

DAY = datetime(2026, 11, 30, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
WINDOW = Window(slot_of(DAY), 8)
FREE = 0b11111111


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleStandIn]:
    """The stand-in, whose accounts are a test's own."""
    with google(tmp_path_factory.mktemp("google")) as running:
        yield running


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins of providers are on this machine."""
    monkeypatch.setenv("WEBHOOK_ALLOW_LOOPBACK_HTTP", "true")
    clear_caches()
    access_tokens.clear_cache()


@pytest.fixture
def ana(standin: GoogleStandIn) -> GoogleAccount:
    """A coach with an account."""
    return standin.account()


def run[T](doing: Coroutine[Any, Any, T]) -> T:
    """Do it in an event loop of its own, as each invocation has one."""
    return asyncio.run(doing)


def refusal(doing: Coroutine[Any, Any, object]) -> tuple[str, float, str | None]:
    """Return reason, seconds to wait, and what has ended."""
    with pytest.raises(CalendarError) as raised:
        run(doing)
    return raised.value.reason, raised.value.after, raised.value.ended


def at(start: datetime, length: timedelta = HOUR) -> dict[str, Any]:
    """Return an event's start and end as Google writes them."""
    return {"start": {"dateTime": start.isoformat()}, "end": {"dateTime": (start + length).isoformat()}}


def event(account: GoogleAccount, start: datetime = DAY, generation: int = 1) -> Event:
    """Make the event of one appointment."""
    key = EventKey(appointment_id=UUID(int=1), source_id=account.source_id, generation=generation)
    return Event(key=key, start=start, end=start + HOUR, title="Booked: Intro call")


def starts(account: GoogleAccount) -> list[datetime]:
    """Return when the events of ours begin that stand in the calendar."""
    return [datetime.fromisoformat(one["start"]["dateTime"]) for one in account.mine()]


class TestReading:
    """`free`."""

    def test_ten_pages_are_read(self, standin: GoogleStandIn) -> None:
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

    def test_a_page_that_fails_fails_the_reading(self, standin: GoogleStandIn) -> None:
        """Half a calendar is none."""
        ana = standin.account(page_size=1)
        for _ in range(3):
            ana.add(**at(DAY - 2 * HOUR, 4 * HOUR), transparency="transparent")
        standin.next("lost", "GET")
        assert refusal(ana.calendar().free(WINDOW))[0] == "connection"

    def test_no_title_place_or_guest_is_asked_for(self, ana: GoogleAccount, standin: GoogleStandIn) -> None:
        """By the mask: what is not sent cannot be lost."""
        ana.add(**at(DAY), summary="Dentist", location="Berlin", attendees=[{"email": "x@example.com"}])
        run(ana.calendar().free(WINDOW))
        mask = standin.calls()[-1].partition("fields=")[2].partition("&")[0]
        assert not [one for one in ("summary", "description", "location", "email") if one in mask]

    def test_a_series_is_read_by_its_occurrences(self, ana: GoogleAccount) -> None:
        """One was moved, and one taken away."""
        daily = {"recurrence": ["RRULE:FREQ=DAILY;COUNT=4"]}
        start = {"dateTime": "2026-11-28T10:00:00", "timeZone": "Europe/Berlin"}
        end = {"dateTime": "2026-11-28T11:00:00", "timeZone": "Europe/Berlin"}
        series = ana.add(start=start, end=end, **daily)
        assert run(ana.calendar().free(WINDOW)).bits == 0b00001111
        moved = {"recurringEventId": series["id"], "originalStartTime": {"dateTime": DAY.isoformat()}}
        ana.add(**moved, **at(DAY + HOUR))
        assert run(ana.calendar().free(WINDOW)).bits == 0b11110000

    def test_free_busy_alone_is_asked_for_sixty_days_at_a_time(self, standin: GoogleStandIn) -> None:
        """Where the scopes allow no events."""
        ana = standin.account(scopes=["https://www.googleapis.com/auth/calendar.freebusy"])
        ana.add(**at(DAY + timedelta(days=100)))
        calendar = ana.calendar(free_busy_only=True)
        before = len(standin.calls())
        found = run(calendar.free(Window(slot_of(DAY), 150 * 96)))
        assert standin.calls()[before:] == ["POST /freeBusy"] * 3
        taken = ((1 << 4) - 1) << (150 * 96 - 100 * 96 - 4)
        assert found.bits == ((1 << 150 * 96) - 1) & ~taken
        assert refusal(ana.calendar().free(WINDOW)) == ("forbidden", 0, "disconnected")

    def test_a_calendar_that_free_busy_does_not_find_is_never_free(self, ana: GoogleAccount) -> None:
        """The error is inside a 200."""
        calendar = ana.calendar(free_busy_only=True, calendar_id="gone@group.calendar.google.com")
        assert refusal(calendar.free(WINDOW)) == ("not_found", 0, "unsupported")


class TestTokens:
    """What is refused for its token, and what then happens."""

    def test_an_expired_token_is_refreshed_once(self, ana: GoogleAccount, standin: GoogleStandIn) -> None:
        """And the request is sent again."""
        calendar = ana.calendar()
        run(calendar.free(WINDOW))
        ana.control("expire")
        ana.add(**at(DAY))
        before = len(standin.calls())
        assert run(calendar.free(WINDOW)).bits == 0b00001111
        assert len(standin.calls()) - before == 2

    def test_a_token_that_stays_refused_ends_nothing(
        self, ana: GoogleAccount, standin: GoogleStandIn
    ) -> None:
        """After one refresh."""
        for _ in range(2):
            standin.refuse("GET", 401, "authError")
        assert refusal(ana.calendar().free(WINDOW)) == ("unauthorized", 0, None)
        assert run(ana.calendar().free(WINDOW)).bits == FREE

    def test_a_revoked_grant_disconnects(self, ana: GoogleAccount) -> None:
        """Google's word is invalid_grant; it comes at the next refresh."""
        calendar = ana.calendar()
        run(calendar.free(WINDOW))
        ana.control("revoke")
        assert refusal(calendar.free(WINDOW)) == ("access_revoked", 0, "disconnected")

    def test_a_refresh_that_is_lost_disconnects_nothing(
        self, ana: GoogleAccount, standin: GoogleStandIn
    ) -> None:
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


class TestWriting:
    """`put` and `remove`, whatever is lost, late or done by the coach meanwhile."""

    def test_what_is_written(self, ana: GoogleAccount, standin: GoogleStandIn) -> None:
        """The title and the times; nobody is invited, and nobody is told."""
        seen = run(ana.calendar().put(event(ana)))
        (written,) = ana.mine()
        assert (written["summary"], written["id"]) == ("Booked: Intro call", event_id(event(ana).key))
        assert "attendees" not in written
        assert (seen.start, seen.ref, seen.version) == (DAY, written["id"], written["etag"])
        writes = [one for one in standin.calls() if one.startswith(("POST", "PATCH", "DELETE"))]
        assert "sendUpdates=none" in writes[-1]

    @pytest.mark.parametrize("effect", ["lost", "late"])
    def test_a_creation_without_an_answer_makes_one_event(
        self, ana: GoogleAccount, standin: GoogleStandIn, effect: str
    ) -> None:
        """The next attempt finds it, or meets its id."""
        standin.next(effect, "POST")
        calendar = ana.calendar()
        if effect == "lost":
            # It is found at once by its property.
            assert run(calendar.put(event(ana))).start == DAY
        else:
            assert refusal(calendar.put(event(ana)))[0] == "connection"
            run(calendar.put(event(ana)))
            assert standin.late() == [409]
        run(calendar.put(event(ana)))
        assert starts(ana) == [DAY]

    def test_a_creation_that_was_lost_and_is_not_found_is_made_by_the_next_attempt(
        self, ana: GoogleAccount, standin: GoogleStandIn
    ) -> None:
        """The search may fail as well."""
        standin.next("lost", "POST")
        calendar = ana.calendar()
        standin.next("refused", "GET", f"/events/{event_id(event(ana).key)}", status=404)
        standin.next("refused", "GET", status=503)
        assert refusal(calendar.put(event(ana)))[0] == "connection"
        # The id is taken by the event itself, which is adopted.
        standin.next("refused", "GET", f"/events/{event_id(event(ana).key)}", status=404)
        assert run(calendar.put(event(ana))).start == DAY
        assert starts(ana) == [DAY]

    def test_a_move_that_was_lost_is_repeated(self, ana: GoogleAccount, standin: GoogleStandIn) -> None:
        """It is done or not, and then it is."""
        calendar = ana.calendar()
        run(calendar.put(event(ana)))
        standin.next("lost", "PATCH")
        assert refusal(calendar.put(event(ana, DAY + HOUR)))[0] == "connection"
        assert run(calendar.put(event(ana, DAY + HOUR))).start == DAY + HOUR
        assert starts(ana) == [DAY + HOUR]

    def test_a_move_that_comes_late_is_refused(self, ana: GoogleAccount, standin: GoogleStandIn) -> None:
        """It was of a version that is no longer the last, so a later move stays."""
        calendar = ana.calendar()
        run(calendar.put(event(ana)))
        standin.next("late", "PATCH")
        assert refusal(calendar.put(event(ana, DAY + HOUR)))[0] == "connection"
        run(calendar.put(event(ana, DAY + 2 * HOUR)))
        assert standin.late() == [412]
        assert starts(ana) == [DAY + 2 * HOUR]

    def test_a_creation_with_a_later_time_moves_what_an_earlier_one_made(self, ana: GoogleAccount) -> None:
        """And the time of what comes late is not that of the last attempt."""
        calendar = ana.calendar()
        run(calendar.put(event(ana)))
        assert run(calendar.put(event(ana, DAY + HOUR))).start == DAY + HOUR
        assert starts(ana) == [DAY + HOUR]

    def test_an_event_that_changes_meanwhile_is_read_again(
        self, ana: GoogleAccount, standin: GoogleStandIn
    ) -> None:
        """412, then the move; whoever changes it each time is left alone after a few."""
        calendar = ana.calendar()
        run(calendar.put(event(ana)))
        standin.refuse("PATCH", 412, "conditionNotMet")
        assert run(calendar.put(event(ana, DAY + HOUR))).start == DAY + HOUR
        for _ in range(3):
            standin.refuse("PATCH", 412, "conditionNotMet")
        assert refusal(calendar.put(event(ana, DAY + 2 * HOUR))) == ("http_412", 0, None)

    def test_a_removal_can_be_repeated(self, ana: GoogleAccount, standin: GoogleStandIn) -> None:
        """404 before there was one, 410 after, and after a lost answer."""
        calendar, key = ana.calendar(), event(ana).key
        run(calendar.remove(key, None))
        run(calendar.put(event(ana)))
        standin.next("lost", "DELETE")
        assert refusal(calendar.remove(key, "ref"))[0] == "connection"
        run(calendar.remove(key, "ref"))
        run(calendar.remove(key, None))
        assert ana.mine() == []

    def test_a_cancellation_that_overtakes_its_creation_is_repeated_when_that_is_seen(
        self, ana: GoogleAccount, standin: GoogleStandIn
    ) -> None:
        """The late creation stands, the next reading has it, and its removal takes it away."""
        calendar = ana.calendar()
        standin.next("late", "POST")
        assert refusal(calendar.put(event(ana)))[0] == "connection"
        run(calendar.remove(event(ana).key, None))
        assert standin.late() == [200]
        found = run(calendar.free(WINDOW))
        assert (found.bits, [own.key for own in found.own]) == (FREE, [event(ana).key])
        run(calendar.remove(event(ana).key, None))
        assert ana.mine() == []

    def test_a_creation_after_its_removal_is_refused_for_good(
        self, ana: GoogleAccount, standin: GoogleStandIn
    ) -> None:
        """A deleted event's id stays taken, so what comes late cannot bring it back."""
        calendar = ana.calendar()
        standin.next("late", "POST")
        assert refusal(calendar.put(event(ana)))[0] == "connection"
        run(calendar.put(event(ana)))
        run(calendar.remove(event(ana).key, None))
        assert standin.late() == [409]
        assert ana.mine() == []

    def test_what_the_coach_deleted_is_a_conflict_and_the_next_generation_is_written(
        self, ana: GoogleAccount
    ) -> None:
        """Never fought: the same key is not written again."""
        calendar = ana.calendar()
        run(calendar.put(event(ana)))
        assert ana.request("DELETE", f"events/{event_id(event(ana).key)}").status_code == 204
        assert refusal(calendar.put(event(ana))) == ("conflict", 0, None)
        assert ana.mine() == []
        run(calendar.put(event(ana, generation=2)))
        assert starts(ana) == [DAY]

    def test_what_was_purged_but_keeps_its_id_is_a_conflict(
        self, ana: GoogleAccount, standin: GoogleStandIn
    ) -> None:
        """The id is taken, and nothing is seen by it."""
        calendar, path = ana.calendar(), f"/events/{event_id(event(ana).key)}"
        for _ in range(2):
            standin.next("refused", "GET", path, status=404)
        standin.refuse("POST", 409, "duplicate")
        assert refusal(calendar.put(event(ana)))[0] == "conflict"

    def test_a_copy_is_a_strangers_and_the_original_is_ours(self, ana: GoogleAccount) -> None:
        """What the coach copies takes time, and stays when ours is removed."""
        calendar = ana.calendar()
        run(calendar.put(event(ana)))
        (ours,) = ana.mine()
        copied = {name: ours[name] for name in ("summary", "start", "end", "extendedProperties")}
        assert ana.request("POST", "events", json=copied).status_code == 200
        found = run(calendar.free(WINDOW))
        assert (found.bits, len(found.own)) == (0b00001111, 1)
        run(calendar.remove(event(ana).key, None))
        assert run(calendar.free(WINDOW)).bits == 0b00001111

    def test_what_another_source_wrote_here_is_busy(self, ana: GoogleAccount) -> None:
        """Two sources of one calendar, or of two teams, do not know one another's appointments."""
        run(ana.calendar().put(event(ana)))
        assert run(ana.calendar(source_id=uuid4()).free(WINDOW)).bits == 0b00001111

    def test_an_event_that_the_coach_made_one_of_whole_days_is_moved(self, ana: GoogleAccount) -> None:
        """The other form of its times is taken away."""
        calendar = ana.calendar()
        run(calendar.put(event(ana)))
        whole = {
            "start": {"date": "2026-11-30", "dateTime": None},
            "end": {"date": "2026-12-01", "dateTime": None},
        }
        assert ana.request("PATCH", f"events/{event_id(event(ana).key)}", json=whole).status_code == 200
        run(calendar.put(event(ana, DAY + HOUR)))
        (ours,) = ana.mine()
        assert "date" not in ours["start"]
        assert starts(ana) == [DAY + HOUR]

    def test_an_event_whose_mark_was_taken_away_gets_it_again(self, ana: GoogleAccount) -> None:
        """It has our id, so it is ours to move."""
        calendar = ana.calendar()
        run(calendar.put(event(ana)))
        bare = {"extendedProperties": None}
        assert ana.request("PATCH", f"events/{event_id(event(ana).key)}", json=bare).status_code == 200
        assert run(calendar.put(event(ana))).start == DAY
        assert starts(ana) == [DAY]
