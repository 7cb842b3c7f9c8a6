"""Google's channels against the stand-in, which really posts its notifications."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from fairslot.calendars.interface import CalendarError, Watch
from fairslot.calendars.push import Notice, google_notices
from fairslot.calendars.push_secret import Channel, PushSecrets
from tests.support.google import DAY, GoogleAccount, GoogleStandIn, at, event, refusal, run
from tests.support.google_listener import GoogleListener, google_listener

SECRETS = PushSecrets(["a secret of the deployment, 32 characters"])


@pytest.fixture
def listener() -> Iterator[GoogleListener]:
    """Give an address that Google posts to."""
    with google_listener() as running:
        yield running


def channel(account: GoogleAccount, generation: int = 1) -> Channel:
    """Name a channel of the account's source."""
    return Channel(provider="google", source_id=account.source_id, generation=generation)


def watch(
    account: GoogleAccount, listener: GoogleListener, *, generation: int = 1, old: Watch | None = None
) -> Watch:
    """Make a channel."""
    channels = account.channels(SECRETS)
    return run(channels.watch(channel(account, generation), address=listener.url, old=old))


def stands(account: GoogleAccount) -> list[str]:
    """Return the ids of the channels that Google has."""
    ids: list[str] = account.google.client.get("/control/channels", params={"email": account.email}).json()[
        "channels"
    ]
    return ids


def test_each_change_is_told_and_proven(ana: GoogleAccount, listener: GoogleListener) -> None:
    """`sync` comes first and asks for nothing; what the coach changes, and what we write, is told."""
    made = watch(ana, listener)
    first = listener.next()
    assert (first["x-goog-resource-state"], first["x-goog-message-number"]) == ("sync", "1")
    assert google_notices(first, SECRETS) == ()
    ana.add(**at(DAY))
    told = listener.next()
    assert google_notices(told, SECRETS) == (Notice(channel(ana), "changed"),)
    assert (told["x-goog-channel-id"], told["x-goog-resource-id"]) == (made.channel_id, made.resource_id)
    run(ana.calendar().put(event(ana)))
    assert listener.states(1) == [("exists", 3)]


def test_a_channel_lives_a_week_or_as_long_as_google_says(
    standin: GoogleStandIn, listener: GoogleListener
) -> None:
    """What counts is the answer."""
    begun = datetime.now(UTC)
    week = watch(standin.account(), listener).expires_at - begun
    assert timedelta(days=7) - timedelta(seconds=1) < week < timedelta(days=7, minutes=1)
    hour = watch(standin.account(channel_seconds=3600), listener).expires_at - begun
    assert timedelta(minutes=59) < hour < timedelta(minutes=61)


def test_a_new_channel_takes_the_place_of_the_old(ana: GoogleAccount, listener: GoogleListener) -> None:
    """Then the old one tells of nothing, and the new one of the next generation."""
    old = watch(ana, listener)
    new = watch(ana, listener, generation=2, old=old)
    assert stands(ana) == [new.channel_id]
    assert listener.states(2) == [("sync", 1), ("sync", 1)]
    ana.add(**at(DAY))
    assert google_notices(listener.next(), SECRETS) == (Notice(channel(ana, 2), "changed"),)
    ana.add(**at(DAY))
    assert google_notices(listener.next(), SECRETS) == (Notice(channel(ana, 2), "changed"),)


def test_a_channel_is_stopped_and_stays_so(ana: GoogleAccount, listener: GoogleListener) -> None:
    """Also where it has been stopped before."""
    made = watch(ana, listener)
    for _ in range(2):
        run(ana.channels(SECRETS).stop(made))
    assert stands(ana) == []


def test_a_channel_that_has_expired_tells_of_nothing(
    standin: GoogleStandIn, listener: GoogleListener
) -> None:
    """So the calendar is read all the same, less often."""
    ana = standin.account(channel_seconds=0)
    watch(ana, listener)
    other = standin.account()
    watch(other, listener)
    ana.add(**at(DAY))
    other.add(**at(DAY))
    # Of what was posted, all is the other's.
    assert google_notices(listener.next(), SECRETS) == ()
    assert google_notices(listener.next(), SECRETS) == (Notice(channel(other), "changed"),)


def test_a_notification_that_was_not_taken_comes_again(ana: GoogleAccount, listener: GoogleListener) -> None:
    """After a 503; the order stays."""
    listener.statuses = [503, 503]
    watch(ana, listener)
    ana.add(**at(DAY))
    assert listener.states(2) == [("sync", 1), ("exists", 2)]


def test_a_lost_answer_leaves_a_channel_that_is_proven_as_its_own(
    ana: GoogleAccount, standin: GoogleStandIn, listener: GoogleListener
) -> None:
    """The next attempt makes another; both tell of the same generation, and the lost one ends by itself."""
    standin.next("lost", "POST", "/events/watch")
    with pytest.raises(CalendarError, match="connection"):
        watch(ana, listener)
    made = watch(ana, listener)
    assert len(stands(ana)) == 2
    assert made.channel_id in stands(ana)
    assert listener.states(2) == [("sync", 1), ("sync", 1)]
    ana.add(**at(DAY))
    told = [google_notices(listener.next(), SECRETS) for _ in range(2)]
    assert told == [(Notice(channel(ana), "changed"),)] * 2


def test_an_address_that_google_does_not_post_to_ends_no_source(ana: GoogleAccount) -> None:
    """It must be https, and its certificate valid."""
    asked = ana.channels(SECRETS).watch(channel(ana), address="http://push.example/calendar-push/google")
    assert refusal(asked) == ("unauthorized", 0, None)
