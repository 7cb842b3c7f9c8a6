"""Run the table of cases against a real account: `python -m tests.try_calendar KIND` (docs/calendars.md).

It writes into the calendar from 8 to 16 March 2027, which must be empty, and removes what it made. Each case
is told in a line; the exit code is 1 if one failed, 2 if nothing could be tried.
"""

import asyncio
import os
import sys
import traceback
from collections.abc import Awaitable, Callable

from fairslot.calendars.caldav_account import Account
from fairslot.calendars.caldav_discovery import discover
from fairslot.calendars.google import BASE_URL as GOOGLE
from fairslot.calendars.google import PRIMARY
from fairslot.calendars.interface import CalendarError
from fairslot.calendars.microsoft import BASE_URL as MICROSOFT
from tests.support.caldav_tried import TriedCaldav
from tests.support.calendar_cases import CASES, Case, Skipped
from tests.support.google_tried import TriedGoogle
from tests.support.graph_tried import TriedGraph
from tests.support.tried_calendar import TriedCalendar, busy, free_of


class NotTriedError(Exception):
    """Nothing was tried; the text says what to give."""


def say(line: str) -> None:
    """Write a line at once: a case can take a while."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def given(name: str) -> str:
    """Return a variable of the environment."""
    found = os.environ.get(name)
    if not found:
        raise NotTriedError(f"Set {name}.")
    return found


async def caldav() -> TriedCalendar:
    """Return the calendar CALDAV_CALENDAR of the account CALDAV_USER, CALDAV_PASSWORD at CALDAV_URL."""
    account = Account(
        address=given("CALDAV_URL"), user=given("CALDAV_USER"), password=given("CALDAV_PASSWORD")
    )
    found = await discover(account)
    chosen = os.environ.get("CALDAV_CALENDAR")
    if not chosen:
        listed = "\n".join(
            f"  {one.url}  {one.name}{'' if one.writable else ' (read-only)'}" for one in found
        )
        raise NotTriedError(f"Set CALDAV_CALENDAR to one of these addresses:\n{listed}")
    return TriedCaldav("caldav", account, chosen.rstrip("/") + "/")


async def google() -> TriedCalendar:
    """Return the calendar GOOGLE_CALENDAR, else the first, of GOOGLE_EMAIL, by GOOGLE_TOKEN."""
    return TriedGoogle(
        _Token(given("GOOGLE_TOKEN")),
        given("GOOGLE_EMAIL"),
        base_url=os.environ.get("GOOGLE_API") or GOOGLE,
        calendar_id=os.environ.get("GOOGLE_CALENDAR") or PRIMARY,
    )


async def microsoft() -> TriedCalendar:
    """Return the calendar MICROSOFT_CALENDAR, else the default one, by MICROSOFT_TOKEN."""
    return TriedGraph(
        _Token(given("MICROSOFT_TOKEN")),
        base_url=os.environ.get("MICROSOFT_API") or MICROSOFT,
        calendar_id=os.environ.get("MICROSOFT_CALENDAR") or None,
    )


class _Token:
    """An access token that somebody has."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def get(self, *, fresh: bool = False) -> str:
        """Return the token; there is no other."""
        if fresh:
            raise CalendarError("unauthorized")
        return self._token


# What each kind is tried with.
KINDS: dict[str, Callable[[], Awaitable[TriedCalendar]]] = {
    "caldav": caldav,
    "google": google,
    "microsoft": microsoft,
}


async def try_all(tried: TriedCalendar) -> bool:
    """Run every case; return whether none failed."""
    before = await free_of(tried)
    if busy(before) or before.own:
        raise NotTriedError("The calendar is not empty from 8 to 16 March 2027.")
    results = [await try_one(tried, case) for case in CASES]
    return all(results)


async def try_one(tried: TriedCalendar, case: Case) -> bool:
    """Run a case, tell how it went, and remove what it made."""
    name = case.__name__.replace("_", " ")
    try:
        await case(tried)
    except Skipped as skipped:
        say(f"skipped  {name}: {skipped}")
    except Exception as error:  # noqa: BLE001  # told, and the next case is run
        where = traceback.extract_tb(error.__traceback__)[-1]
        say(f"FAILED   {name}: {type(error).__name__} {error} at {where.name}: {where.line}")
        return False
    else:
        say(f"ok       {name}")
    finally:
        await tried.clean()
    return True


def main() -> int:
    """Try the kind that is named."""
    names = sys.argv[1:]
    if len(names) != 1 or names[0] not in KINDS:
        say(f"Name a kind: {', '.join(KINDS)}.")
        return 2

    async def run() -> bool:
        return await try_all(await KINDS[names[0]]())

    try:
        return 0 if asyncio.run(run()) else 1
    except NotTriedError as error:
        say(str(error))
    except CalendarError as error:
        say(f"The account cannot be read: {error.reason}.")
    return 2


if __name__ == "__main__":
    sys.exit(main())
