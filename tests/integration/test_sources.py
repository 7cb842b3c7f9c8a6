"""Several calendars a coach: each is kept apart, and a coach is free where all of them are."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from fairslot.coach_time import sync
from fairslot.coach_time.days import extend_days
from fairslot.domain.slots import slot_of
from fairslot.platform.db import Connection
from tests.support.availability import list_page, reasons
from tests.support.bookings import book
from tests.support.clock import HOUR, MINUTE, NINE, NOW, SECOND
from tests.support.fixtures import Connect, Environment
from tests.support.invariants import check_invariants
from tests.support.readings import begin_absence, store_message, store_reading
from tests.support.sources import add_source, failed, source_row
from tests.support.tables import one_row
from tests.support.team import add_calendar, add_coach, set_coach

LATER = NOW + timedelta(minutes=10)
TEN, ELEVEN, NOON = NINE + HOUR, NINE + 2 * HOUR, NINE + 3 * HOUR


@pytest.fixture
def sources(connection: Connection) -> tuple[UUID, UUID]:
    """A coach with a feed and a Google calendar, neither of which was read."""
    add_coach(connection, "ana")
    add_calendar(connection, "cal", ["ana"])
    extend_days(connection, now=NOW)
    return add_source(connection), add_source(connection, kind="google")


def read(
    connection: Connection, source_id: UUID, *busy: tuple[datetime, datetime], at: datetime = NOW, **more: Any
) -> None:
    """Store a reading of a source in which those times are busy."""
    store_reading(connection, at, *busy, source_id=str(source_id), **{"generation": 1, **more})


def is_free(connection: Connection, *starts: datetime) -> list[bool]:
    """Return whether each of these starts is listed."""
    listed = {start.slot for start in list_page(connection, start=NINE, days=1, now=NOW).starts}
    return [slot_of(start) in listed for start in starts]


def test_a_coach_is_free_where_every_calendar_is(connection: Connection, sources: tuple[UUID, UUID]) -> None:
    """What is busy in one is not free because another says nothing of it, whichever was read last."""
    feed, google = sources
    read(connection, feed, (NINE, TEN))
    assert reasons(connection, ELEVEN) == {"ana": "not_synced"}, "the other one was not read yet"
    read(connection, google, (TEN, ELEVEN))
    assert is_free(connection, NINE, TEN, ELEVEN) == [False, False, True]
    read(connection, feed, (NINE, TEN), at=LATER)
    assert is_free(connection, NINE, TEN, ELEVEN) == [False, False, True]
    check_invariants(connection)


def test_one_that_fails_keeps_what_it_said(connection: Connection, sources: tuple[UUID, UUID]) -> None:
    """Its last answer stands beside the new one of the other, and the coach is stale."""
    feed, google = sources
    read(connection, feed, (NINE, TEN))
    read(connection, google, (TEN, ELEVEN))
    store_message(connection, failed(feed, LATER))
    read(connection, google, at=LATER)
    assert is_free(connection, NINE, TEN, ELEVEN) == [False, True, True]
    page = list_page(connection, start=NINE, days=1, now=LATER)
    assert page.stale
    assert page.synced_at == NOW, "the oldest of the two"
    read(connection, feed, at=LATER + MINUTE)
    assert is_free(connection, NINE, TEN, ELEVEN) == [True, True, True]
    assert not list_page(connection, start=NINE, days=1, now=LATER).stale


def test_one_that_goes_frees_what_no_other_takes(connection: Connection, sources: tuple[UUID, UUID]) -> None:
    """Nor an absence, nor a booking."""
    feed, google = sources
    read(connection, feed, (NINE, ELEVEN))
    read(connection, google, (TEN, NOON))
    begin_absence(connection, "ana", NOON, NOON + HOUR)
    book(connection, NOON + HOUR)
    connection.execute("DELETE FROM calendar_sources WHERE source_id = %s", (feed,))
    at = (NINE, TEN, ELEVEN, NOON, NOON + HOUR, NOON + 2 * HOUR)
    assert is_free(connection, *at) == [True, False, False, False, False, True]
    connection.execute("DELETE FROM calendar_sources WHERE source_id = %s", (google,))
    assert is_free(connection, *at) == [True, True, True, False, False, True]
    check_invariants(connection)


def test_one_that_is_not_read_takes_no_time(connection: Connection, sources: tuple[UUID, UUID]) -> None:
    """A calendar that is only written says nothing, and its last answer goes."""
    feed, google = sources
    read(connection, feed)
    read(connection, google, (NINE, TEN))
    assert is_free(connection, NINE) == [False]
    connection.execute(
        "UPDATE calendar_sources SET reads = false, writes = true WHERE source_id = %s", (google,)
    )
    assert is_free(connection, NINE) == [True]
    assert {fetch.source_id for fetch in sync.due(connection, now=NOW)} == {feed}


def test_a_reading_of_another_account_does_not_count(
    connection: Connection, sources: tuple[UUID, UUID]
) -> None:
    """What was on its way when the source was connected to something else is no answer about it."""
    feed, google = sources
    read(connection, feed)
    connection.execute("UPDATE calendar_sources SET generation = 2 WHERE source_id = %s", (google,))
    read(connection, google)
    store_message(connection, failed(google, NOW, "unauthorized", ended="disconnected"))
    assert reasons(connection) == {"ana": "not_synced"}
    assert source_row(connection, google)["ended"] is None
    read(connection, google, generation=2)
    assert reasons(connection) == {"ana": None}


def test_messages_of_the_last_release_are_about_the_only_calendar(connection: Connection) -> None:
    """The queue may hold some while an update runs; where a coach has two they mean neither."""
    add_coach(connection, "ana", kind="calendar_api")
    add_calendar(connection, "cal", ["ana"])
    extend_days(connection, now=NOW)
    store_reading(connection, NOW, (NINE, TEN))
    assert is_free(connection, NINE, TEN) == [False, True]
    read(connection, add_source(connection))
    store_reading(connection, LATER)
    assert is_free(connection, NINE, TEN) == [False, True]


def test_a_source_makes_the_coach_s_columns_and_they_make_it(connection: Connection) -> None:
    """What 0.1.0 sets and reads of a coach stays true, whichever of the two somebody sets."""

    def columns() -> tuple[str, str | None]:
        row = one_row(connection, "SELECT calendar_kind, calendar_url FROM coaches WHERE coach_id = 'ana'")
        return row["calendar_kind"], row["calendar_url"]

    def kinds() -> list[str]:
        rows = connection.execute("SELECT kind FROM calendar_sources ORDER BY kind").fetchall()
        return [row["kind"] for row in rows]

    add_coach(connection, "ana")
    feed = add_source(connection, url="https://a.test/x")
    assert columns() == ("icalendar", "https://a.test/x")
    add_source(connection, kind="caldav")
    assert columns() == ("sources", None)
    add_source(connection, kind="calendar_api", writes=True)
    assert columns() == ("calendar_api", None)
    connection.execute("DELETE FROM calendar_sources WHERE source_id <> %s", (feed,))
    assert columns() == ("icalendar", "https://a.test/x")
    set_coach(connection, "ana", calendar_kind="calendar_api", calendar_url=None)
    assert kinds() == ["calendar_api"]
    set_coach(connection, "ana", calendar_kind="none")
    assert kinds() == []
    with pytest.raises(psycopg.errors.CheckViolation):
        set_coach(connection, "ana", calendar_kind="sources")


def test_a_coach_s_first_sources_are_all_asked_for(
    connection: Connection, sources: tuple[UUID, UUID]
) -> None:
    """Somebody who lists a calendar waits for each of them that was never asked for, and asks once."""
    sent: list[UUID | None] = []
    for _ in range(2):
        sync.await_first(
            connection,
            tenant_id="default",
            calendar_ids=["cal"],
            send=lambda fetches: sent.extend(fetch.source_id for fetch in fetches),
            now=NOW - 10 * MINUTE,
        )
    assert sorted(map(str, sent)) == sorted(map(str, sources))


def test_who_lists_while_another_asks_waits(
    connection: Connection, sources: tuple[UUID, UUID], connect: Connect, environment: Environment
) -> None:
    """The sources are another's to ask for, who has not ended yet: then nothing says since when they wait."""
    environment(FIRST_SYNC_WAIT_SECONDS="0.2")
    sent: list[Any] = []
    with connect() as other, other.transaction():
        other.execute("SELECT FROM calendar_sources FOR NO KEY UPDATE")
        sync.await_first(
            connection, tenant_id="default", calendar_ids=["cal"], send=sent.extend, now=NOW - 10 * MINUTE
        )
    assert (sent, len(sources)) == ([], 2)


def test_what_is_asked_for_says_which_and_how(connection: Connection, sources: tuple[UUID, UUID]) -> None:
    """The fetcher knows nothing but the message."""
    feed, google = sources
    connection.execute(
        "UPDATE calendar_sources SET calendar_ref = 'work', credentials = 'ciphertext' WHERE source_id = %s",
        (google,),
    )
    fetches = {fetch.source_id: fetch for fetch in sync.due(connection, now=NOW)}
    assert fetches[google].kind == "google"
    assert (fetches[google].calendar_ref, fetches[google].credentials) == ("work", "ciphertext")
    assert (fetches[feed].kind, fetches[feed].url) == ("icalendar", "https://calendars.test/")
    assert all(fetch.generation == 1 for fetch in fetches.values())


def test_a_source_is_asked_for_once_in_ten_seconds(
    connection: Connection, sources: tuple[UUID, UUID]
) -> None:
    """Each of them by itself."""
    feed, _ = sources
    assert len(sync.request(connection, tenant_id="default", coach_ids=["ana"], now=NOW)) == 2
    assert {
        fetch.delay_seconds
        for fetch in sync.request(connection, tenant_id="default", coach_ids=["ana"], now=NOW + 4 * SECOND)
    } == {6}
    assert source_row(connection, feed)["requested_at"] == NOW + 10 * SECOND
