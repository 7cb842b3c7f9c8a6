"""Events are written to Google Calendar, whatever is lost, late, or done by the coach meanwhile."""

from uuid import uuid4

import pytest

from fairslot.calendars.event_ids import event_id
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
    starts,
)


def test_what_is_written(ana: GoogleAccount, standin: GoogleStandIn) -> None:
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
    ana: GoogleAccount, standin: GoogleStandIn, effect: str
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
    ana: GoogleAccount, standin: GoogleStandIn
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


def test_a_move_that_was_lost_is_repeated(ana: GoogleAccount, standin: GoogleStandIn) -> None:
    """It is done or not, and then it is."""
    calendar = ana.calendar()
    run(calendar.put(event(ana)))
    standin.next("lost", "PATCH")
    assert refusal(calendar.put(event(ana, DAY + HOUR)))[0] == "connection"
    assert run(calendar.put(event(ana, DAY + HOUR))).start == DAY + HOUR
    assert starts(ana) == [DAY + HOUR]


def test_a_move_that_comes_late_is_refused(ana: GoogleAccount, standin: GoogleStandIn) -> None:
    """It was of a version that is no longer the last, so a later move stays."""
    calendar = ana.calendar()
    run(calendar.put(event(ana)))
    standin.next("late", "PATCH")
    assert refusal(calendar.put(event(ana, DAY + HOUR)))[0] == "connection"
    run(calendar.put(event(ana, DAY + 2 * HOUR)))
    assert standin.late() == [412]
    assert starts(ana) == [DAY + 2 * HOUR]


def test_a_creation_with_a_later_time_moves_what_an_earlier_one_made(ana: GoogleAccount) -> None:
    """And the time of what comes late is not that of the last attempt."""
    calendar = ana.calendar()
    run(calendar.put(event(ana)))
    assert run(calendar.put(event(ana, DAY + HOUR))).start == DAY + HOUR
    assert starts(ana) == [DAY + HOUR]


def test_an_event_that_changes_meanwhile_is_read_again(ana: GoogleAccount, standin: GoogleStandIn) -> None:
    """412, then the move; whoever changes it each time is left alone after a few."""
    calendar = ana.calendar()
    run(calendar.put(event(ana)))
    standin.refuse("PATCH", 412, "conditionNotMet")
    assert run(calendar.put(event(ana, DAY + HOUR))).start == DAY + HOUR
    for _ in range(3):
        standin.refuse("PATCH", 412, "conditionNotMet")
    assert refusal(calendar.put(event(ana, DAY + 2 * HOUR))) == ("http_412", 0, None)


def test_a_removal_can_be_repeated(ana: GoogleAccount, standin: GoogleStandIn) -> None:
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
    ana: GoogleAccount, standin: GoogleStandIn
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


def test_a_creation_after_its_removal_is_refused_for_good(ana: GoogleAccount, standin: GoogleStandIn) -> None:
    """A deleted event's id stays taken, so what comes late cannot bring it back."""
    calendar = ana.calendar()
    standin.next("late", "POST")
    assert refusal(calendar.put(event(ana)))[0] == "connection"
    run(calendar.put(event(ana)))
    run(calendar.remove(event(ana).key, None))
    assert standin.late() == [409]
    assert ana.mine() == []


def test_what_the_coach_deleted_is_a_conflict_and_the_next_generation_is_written(ana: GoogleAccount) -> None:
    """Never fought: the same key is not written again."""
    calendar = ana.calendar()
    run(calendar.put(event(ana)))
    assert ana.request("DELETE", f"events/{event_id(event(ana).key)}").status_code == 204
    assert refusal(calendar.put(event(ana))) == ("conflict", 0, None)
    assert ana.mine() == []
    run(calendar.put(event(ana, generation=2)))
    assert starts(ana) == [DAY]


def test_what_was_purged_but_keeps_its_id_is_a_conflict(ana: GoogleAccount, standin: GoogleStandIn) -> None:
    """The id is taken, and nothing is seen by it."""
    calendar, path = ana.calendar(), f"/events/{event_id(event(ana).key)}"
    for _ in range(2):
        standin.next("refused", "GET", path, status=404)
    standin.refuse("POST", 409, "duplicate")
    assert refusal(calendar.put(event(ana)))[0] == "conflict"


def test_a_copy_is_a_strangers_and_the_original_is_ours(ana: GoogleAccount) -> None:
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


def test_what_another_source_wrote_here_is_busy(ana: GoogleAccount) -> None:
    """Two sources of one calendar, or of two teams, do not know one another's appointments."""
    run(ana.calendar().put(event(ana)))
    assert run(ana.calendar(source_id=uuid4()).free(WINDOW)).bits == 0b00001111


def test_an_event_that_the_coach_made_one_of_whole_days_is_moved(ana: GoogleAccount) -> None:
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


def test_an_event_whose_mark_was_taken_away_gets_it_again(ana: GoogleAccount) -> None:
    """It has our id, so it is ours to move."""
    calendar = ana.calendar()
    run(calendar.put(event(ana)))
    bare = {"extendedProperties": None}
    assert ana.request("PATCH", f"events/{event_id(event(ana).key)}", json=bare).status_code == 200
    assert run(calendar.put(event(ana))).start == DAY
    assert starts(ana) == [DAY]


def test_a_write_that_comes_again_leaves_what_the_coach_moved(
    ana: GoogleAccount, standin: GoogleStandIn
) -> None:
    """Its answer was lost, and the coach came between; the next change of the appointment is written."""
    calendar = ana.calendar()
    run(calendar.put(event(ana)))
    for start in (DAY, DAY + HOUR):
        if start != DAY:
            standin.next("lost", "PATCH")
            assert refusal(calendar.put(event(ana, start)))[0] == "connection"
        path = f"events/{event_id(event(ana).key)}"
        assert ana.request("PATCH", path, json=at(DAY + 5 * HOUR)).status_code == 200
        assert run(calendar.put(event(ana, start))).start == DAY + 5 * HOUR
        assert starts(ana) == [DAY + 5 * HOUR]
    run(calendar.put(event(ana, DAY + 2 * HOUR)))
    assert starts(ana) == [DAY + 2 * HOUR]


def test_a_move_leaves_what_the_coach_added(ana: GoogleAccount) -> None:
    """The title is ours, as the time is; notes, colours and guests are the coach's."""
    calendar = ana.calendar()
    run(calendar.put(event(ana)))
    added = {"description": "Bring the contract", "colorId": "5", "summary": "Call!"}
    assert ana.request("PATCH", f"events/{event_id(event(ana).key)}", json=added).status_code == 200
    run(calendar.put(event(ana, DAY + HOUR)))
    (ours,) = ana.mine()
    assert (ours["description"], ours["colorId"]) == ("Bring the contract", "5")
    assert ours["summary"] == "Booked: Intro call"
