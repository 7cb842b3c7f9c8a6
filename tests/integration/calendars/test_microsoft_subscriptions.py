"""Subscriptions at the stand-in of Microsoft Graph, which really posts."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from fairslot.calendars.interface import CalendarError, Watch
from fairslot.calendars.microsoft_subscriptions import FORMERLY_LONGEST, LONGEST, MicrosoftSubscriptions
from fairslot.calendars.push import Notice
from fairslot.calendars.push_secret import Channel
from tests.support.graph import LIMITS, SECRETS, Coach, Standin, Told
from tests.support.race import wait_until

NINE = datetime(2026, 11, 30, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


def subscriptions(coach: Coach, **more: Any) -> MicrosoftSubscriptions:
    """Open the subscriptions to a coach's calendar."""
    opened: dict[str, Any] = {
        "token": coach.token,
        "secrets": SECRETS,
        "base_url": coach.standin.api,
        "limits": LIMITS,
    }
    return MicrosoftSubscriptions(**opened | more)


def channel(coach: Coach, generation: int = 1) -> Channel:
    """Name the channel of a coach's source."""
    return Channel(provider="microsoft", source_id=coach.source_id, generation=generation)


def watch(coach: Coach, address: Told, generation: int = 1, **more: Any) -> Watch:
    """Subscribe to a coach's calendar."""
    return asyncio.run(subscriptions(coach).watch(channel(coach, generation), address=address.url, **more))


def lasts(made: Watch, longest: timedelta) -> bool:
    """Return whether it lasts about as long."""
    return longest - 10 * timedelta(minutes=1) < made.expires_at - datetime.now(UTC) <= longest


def test_changes_are_told(graph: Standin, address: Told) -> None:
    """An event that is added, changed, removed: each with the channel's secret."""
    coach = graph.coach()
    made = watch(coach, address)
    assert lasts(made, LONGEST)
    added = coach.add(NINE, NINE + HOUR)
    coach.act("PATCH", f"events/{added['id']}", json={"showAs": "oof"})
    coach.act("DELETE", f"events/{added['id']}")
    wait_until(lambda: len(address.notices) == 3)
    assert set(address.notices) == {Notice(channel(coach), "changed")}


def test_one_calendar_is_watched(graph: Standin, address: Told) -> None:
    """By its id; an application watches by the mailbox's address."""
    coach = graph.coach()
    opened = subscriptions(
        coach,
        token=graph.application().token(),
        mailbox=coach.address,
        calendar_id=coach.given["calendar_id"],
    )
    asyncio.run(opened.watch(channel(coach), address=address.url))
    coach.add(NINE, NINE + HOUR)
    wait_until(lambda: address.notices == [Notice(channel(coach), "changed")])


def test_a_new_subscription_takes_the_place_of_the_old(graph: Standin, address: Told) -> None:
    """Which may be gone, or not be deleted now."""
    coach = graph.coach()
    first = watch(coach, address)
    second = watch(coach, address, 2, old=first)
    assert coach.subscriptions == 1
    graph.once("refused", "DELETE", status=503)
    watch(coach, address, 3, old=second)
    assert coach.subscriptions == 2


def test_what_is_granted_is_obeyed(graph: Standin, address: Told) -> None:
    """Where Graph allows less than its documents say, what they said before is asked for."""
    graph.control("settings", subscription_minutes=4_230)
    coach = graph.coach()
    made = watch(coach, address)
    assert lasts(made, FORMERLY_LONGEST)
    renewed = asyncio.run(subscriptions(coach).renew(made))
    assert renewed is not None
    assert lasts(renewed, FORMERLY_LONGEST)


def test_a_subscription_is_renewed_until_it_is_gone(graph: Standin, address: Told) -> None:
    """Then it is made anew."""
    coach = graph.coach()
    made = watch(coach, address)
    opened = subscriptions(coach)
    renewed = asyncio.run(opened.renew(made))
    assert renewed is not None
    assert (renewed.channel_id, renewed.expires_at >= made.expires_at) == (made.channel_id, True)
    graph.control("lapse", address=coach.address)
    assert asyncio.run(opened.renew(made)) is None
    asyncio.run(opened.stop(made))


def test_what_is_stopped_tells_nothing(graph: Standin, address: Told) -> None:
    """It can be stopped twice."""
    coach, other = graph.coach(), graph.coach()
    made = watch(coach, address)
    for _ in range(2):
        asyncio.run(subscriptions(coach).stop(made))
    watch(other, address)
    coach.add(NINE, NINE + HOUR)
    other.add(NINE, NINE + HOUR)
    wait_until(lambda: len(address.notices) > 0)
    assert address.notices == [Notice(channel(other), "changed")]


@pytest.mark.parametrize(
    ("event", "task"),
    [("reauthorizationRequired", "renew"), ("subscriptionRemoved", "removed"), ("missed", "changed")],
)
def test_a_subscription_tells_of_itself(graph: Standin, address: Told, event: str, task: str) -> None:
    """At the same address, or at one of its own."""
    coach = graph.coach()
    watch(coach, address)
    graph.control("lifecycle", address=coach.address, event=event)
    wait_until(lambda: [(one.channel, one.task) for one in address.notices] == [(channel(coach), task)])
    assert coach.subscriptions == (0 if event == "subscriptionRemoved" else 1)


def test_an_address_that_does_not_prove_itself_is_told_nothing(graph: Standin, address: Told) -> None:
    """And the source stays as it is."""
    coach = graph.coach()
    address.lies = True
    with pytest.raises(CalendarError, match="http_400") as raised:
        watch(coach, address)
    assert raised.value.ended is None
    assert coach.subscriptions == 0


def test_who_may_not_watch_may_still_be_read(graph: Standin, address: Told) -> None:
    """A refused subscription ends no source."""
    coach = graph.coach(scopes=["Calendars.ReadBasic", "offline_access"])
    with pytest.raises(CalendarError, match="forbidden") as raised:
        watch(coach, address)
    assert raised.value.ended is None


def test_a_notification_of_another_provider_or_source_is_not_this_ones() -> None:
    """The secret names both."""
    made = SECRETS.make(Channel(provider="google", source_id=UUID(int=1), generation=1))
    assert SECRETS.channel("microsoft", made) is None
