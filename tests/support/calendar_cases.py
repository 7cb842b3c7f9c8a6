"""What a calendar of every kind must do: a table of cases, each run against each kind.

A kind says by `TriedCalendar` how a test acts there as the coach would. The same cases run against a real
account: `python -m tests.try_calendar`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from fairslot.calendars.interface import CalendarError, ChangeSeen
from tests.support.tried_calendar import (
    OTHER_SOURCE,
    Foreign,
    Quality,
    Series,
    TriedCalendar,
    an_event,
    asked,
    at,
    busy,
    free_of,
    moved,
    stands,
)

type Case = Callable[[TriedCalendar], Awaitable[None]]

# What a case raises that says nothing of a kind, as it is pytest's.
Skipped = pytest.skip.Exception


async def an_event_takes_its_time(tried: TriedCalendar) -> None:
    """A slot that an event touches is not free; the others are."""
    await tried.put_foreign(Foreign(start=at(9, 10), end=at(9, 11, 20)))
    await tried.put_foreign(Foreign(start=at(9, 23), end=at(10, 1)))
    free = await free_of(tried)
    assert busy(free) == ["09 10:00-09 11:30", "09 23:00-10 01:00"]
    assert (free.unreadable, free.own) == (0, ())


async def a_whole_day_is_the_coachs(tried: TriedCalendar) -> None:
    """From midnight to midnight on the coach's clock; the end is the day after."""
    await tried.put_foreign(Foreign(start=at(10, 0), end=at(12, 0), all_day=True))
    assert busy(await free_of(tried)) == ["10 00:00-12 00:00"]


async def a_series_has_exceptions(tried: TriedCalendar) -> None:
    """What is left out is free, what is moved takes its new time."""
    series = Series(count=4, left_out=at(9, 9), moved=(at(10, 9), at(10, 15)))
    await tried.put_foreign(Foreign(start=at(8, 9), end=at(8, 9, 30), series=series))
    assert busy(await free_of(tried)) == ["08 09:00-08 09:30", "10 15:00-10 15:30", "11 09:00-11 09:30"]


async def _quality(tried: TriedCalendar, quality: Quality) -> None:
    if quality in tried.cannot_have:
        pytest.skip(f"no event can be {quality} there")
    await tried.put_foreign(Foreign(start=at(9, 10), end=at(9, 11), quality=quality))
    expected = [] if quality in tried.free_qualities else ["09 10:00-09 11:00"]
    assert busy(await free_of(tried)) == expected


async def tentative_is_busy(tried: TriedCalendar) -> None:
    """What may take place takes its time."""
    assert "tentative" not in tried.free_qualities
    await _quality(tried, "tentative")


async def transparent_is_free(tried: TriedCalendar) -> None:
    """What the coach shows as free is free."""
    assert "transparent" in tried.free_qualities
    await _quality(tried, "transparent")


async def cancelled_is_free(tried: TriedCalendar) -> None:
    """What was cancelled is free."""
    assert "cancelled" in tried.free_qualities
    await _quality(tried, "cancelled")


async def declined_is_as_the_kind_says(tried: TriedCalendar) -> None:
    """An invitation that the coach declined takes time only where the kind cannot tell who the coach is."""
    await _quality(tried, "declined")


async def a_clock_change_is_kept(tried: TriedCalendar) -> None:
    """An event over the change is as long as it is, and days are."""
    await tried.put_foreign(Foreign(start=at(14, 1), end=at(14, 4)))
    await tried.put_foreign(Foreign(start=at(15, 0), end=at(16, 0), all_day=True))
    free = await free_of(tried)
    assert busy(free) == ["14 01:00-14 04:00", "15 00:00-16 00:00"]
    taken = asked().slot_count - free.bits.bit_count()
    assert taken == 2 * 4 + 24 * 4


async def a_series_stays_on_its_own_clock(tried: TriedCalendar) -> None:
    """A series of another zone moves on the coach's clock where that one changes."""
    berlin = ZoneInfo("Europe/Berlin")
    event = Foreign(start=at(12, 16, zone=berlin), end=at(12, 17, zone=berlin), series=Series(count=4))
    await tried.put_foreign(event)
    assert busy(await free_of(tried)) == [
        "12 10:00-12 11:00",
        "13 10:00-13 11:00",
        "14 11:00-14 12:00",
        "15 11:00-15 12:00",
    ]


async def ours_is_seen_and_takes_no_time(tried: TriedCalendar) -> None:
    """An event of ours is told where it stands, and its time is free: the appointment takes it."""
    event = an_event()
    put = await tried.calendar().put(event)
    free = await free_of(tried)
    assert busy(free) == []
    (seen,) = free.own
    assert (seen.key, seen.start, seen.end) == (event.key, event.start, event.end)
    assert (seen.ref, put.version) in {(put.ref, seen.version), (put.ref, None)}
    await stands(tried, event)


async def a_strangers_beside_ours_is_busy(tried: TriedCalendar) -> None:
    """A calendar takes events that overlap; where ours is, the stranger's still takes its time."""
    event = an_event(10, 9)
    await tried.calendar().put(event)
    await tried.put_foreign(Foreign(start=at(10, 9, 30), end=at(10, 10, 30)))
    free = await free_of(tried)
    assert busy(free) == ["10 09:30-10 10:30"]
    assert [one.key for one in free.own] == [event.key]


async def ours_of_another_source_is_busy(tried: TriedCalendar) -> None:
    """The appointment that it is of may be another coach's."""
    event = an_event(10, 9, source_id=OTHER_SOURCE)
    await tried.calendar(source_id=OTHER_SOURCE).put(event)
    free = await free_of(tried)
    assert (busy(free), free.own) == (["10 09:00-10 10:00"], ())


async def put_twice_is_one_event(tried: TriedCalendar) -> None:
    """Whoever repeats a put finds the event."""
    event = an_event()
    first = await tried.calendar().put(event)
    second = await tried.calendar().put(event)
    assert (first.ref, first.start, first.end) == (second.ref, second.start, second.end)
    await stands(tried, event)


async def a_put_moves(tried: TriedCalendar) -> None:
    """The event of a key goes to its new time, and back."""
    event = an_event(10, 9)
    await tried.calendar().put(event)
    for there in (moved(event, 11, 14), event):
        put = await tried.calendar().put(there)
        assert (put.key, put.start, put.end) == (event.key, there.start, there.end)
        assert [(one.start, one.end) for one in (await free_of(tried)).own] == [(there.start, there.end)]
    assert len(await tried.mine()) == 1


async def a_lost_answer_makes_no_second_event(tried: TriedCalendar) -> None:
    """What was done and not answered is found by the next attempt, whether it created or moved."""
    event = an_event()
    for there in (event, moved(event, 11, 14)):
        try:
            # A kind may look for it at once, and find it.
            await tried.calendar(lost=1).put(there)
        except CalendarError as lost:
            assert (lost.reason, lost.ended) == ("connection", None)
        await tried.calendar().put(there)
        assert [(one.start, one.end) for one in (await free_of(tried)).own] == [(there.start, there.end)]
        assert len(await tried.mine()) == 1


async def a_removal_is_repeated(tried: TriedCalendar) -> None:
    """What is gone is removed, by its address or by its key, also after a lost answer."""
    event = an_event()
    put = await tried.calendar().put(event)
    with pytest.raises(CalendarError):
        await tried.calendar(lost=1).remove(event.key, put.ref)
    await stands(tried)
    await tried.calendar().remove(event.key, put.ref)
    await tried.calendar().remove(event.key, None)


async def a_removal_needs_no_address(tried: TriedCalendar) -> None:
    """An event whose put was never answered is removed by its key, and no other with it."""
    event, other = an_event(10, 9), an_event(11, 9)
    for one in (event, other):
        await tried.calendar().put(one)
    await tried.calendar().remove(event.key, None)
    await stands(tried, other)


async def a_removal_before_its_put_does_no_harm(tried: TriedCalendar) -> None:
    """There is nothing to remove."""
    await tried.calendar().remove(an_event().key, None)
    assert busy(await free_of(tried)) == []


async def where_the_coach_moved_it_is_seen(tried: TriedCalendar) -> None:
    """It is told where it now stands, still takes no time, and the next move finds it there."""
    event = an_event(10, 9)
    await tried.calendar().put(event)
    await tried.move_mine(event.key, at(10, 16), at(10, 17))
    free = await free_of(tried)
    assert busy(free) == []
    assert [(one.start, one.end) for one in free.own] == [(at(10, 16), at(10, 17))]
    there = moved(event, 12, 8)
    await tried.calendar().put(there)
    assert [(one.start, one.end) for one in (await free_of(tried)).own] == [(there.start, there.end)]
    assert len(await tried.mine()) == 1


async def a_put_that_comes_again_leaves_what_the_coach_moved(tried: TriedCalendar) -> None:
    """Nobody fights the coach; another time that is wanted moves it."""
    event = an_event(10, 9)
    await tried.calendar().put(event)
    await tried.move_mine(event.key, at(10, 16), at(10, 17))
    put = await tried.calendar().put(event)
    assert (put.start, put.end) == (at(10, 16), at(10, 17))
    assert [(one.start, one.end) for one in (await free_of(tried)).own] == [(put.start, put.end)]


async def what_the_coach_moved_is_removed(tried: TriedCalendar) -> None:
    """It is ours wherever it stands."""
    event = an_event(10, 9)
    put = await tried.calendar().put(event)
    await tried.move_mine(event.key, at(10, 16), at(10, 17))
    await tried.calendar().remove(event.key, put.ref)
    await stands(tried)


async def what_the_coach_deleted_is_not_seen(tried: TriedCalendar) -> None:
    """And its key is as the kind says; the next generation is another event."""
    event = an_event(10, 9)
    put = await tried.calendar().put(event)
    await tried.delete_mine(event.key)
    free = await free_of(tried)
    assert (busy(free), free.own) == ([], ())
    await tried.calendar().remove(event.key, put.ref)
    if tried.recreates:
        await tried.calendar().put(event)
        await stands(tried, event)
        await tried.calendar().remove(event.key, put.ref)
    else:
        with pytest.raises(CalendarError) as refused:
            await tried.calendar().put(event)
        assert refused.value.reason == "conflict"
    following = replace(event, key=replace(event.key, generation=2))
    await tried.calendar().put(following)
    await stands(tried, following)
    assert [one.key for one in (await free_of(tried)).own] == [following.key]


async def a_change_is_seen_by_the_tag(tried: TriedCalendar) -> None:
    """Where a kind has a tag it stays as long as nothing changes, and not longer."""
    calendar = tried.calendar()
    tag = (await calendar.free(asked())).tag
    if tag is None:
        pytest.skip("the kind has no tag")
    assert (await calendar.free(asked())).tag == tag
    watched: ChangeSeen = calendar  # type: ignore[assignment]  # what has a tag tells by it
    assert not await watched.changed(tag)
    await tried.put_foreign(Foreign(start=at(9, 10), end=at(9, 11)))
    assert await watched.changed(tag)
    tag = (await calendar.free(asked())).tag or ""
    await calendar.put(an_event())
    assert await watched.changed(tag)


CASES: tuple[Case, ...] = (
    an_event_takes_its_time,
    a_whole_day_is_the_coachs,
    a_series_has_exceptions,
    tentative_is_busy,
    transparent_is_free,
    cancelled_is_free,
    declined_is_as_the_kind_says,
    a_clock_change_is_kept,
    a_series_stays_on_its_own_clock,
    ours_is_seen_and_takes_no_time,
    a_strangers_beside_ours_is_busy,
    ours_of_another_source_is_busy,
    put_twice_is_one_event,
    a_put_moves,
    a_lost_answer_makes_no_second_event,
    a_removal_is_repeated,
    a_removal_needs_no_address,
    a_removal_before_its_put_does_no_harm,
    where_the_coach_moved_it_is_seen,
    a_put_that_comes_again_leaves_what_the_coach_moved,
    what_the_coach_moved_is_removed,
    what_the_coach_deleted_is_not_seen,
    a_change_is_seen_by_the_tag,
)
