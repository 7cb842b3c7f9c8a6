"""Stand-ins of calendar providers, started where CALENDARS names them, each with a demo coach on it.

Of CalDAV there is a real server.
"""

import json
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import httpx

from local.function_env import PYTHONPATH
from local.partner import Partner
from local.processes import Program, StartError
from local.radicale import PASSWORD, USER, Radicale

_DEMO_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class DemoCoach:
    """A demo coach, and what is stored of the calendar, whose credentials are still in clear here."""

    coach_id: str
    name: str
    kind: str
    credentials: Mapping[str, Any]
    url: str | None = None
    calendar_ref: str | None = None
    username: str | None = None


class Standin(ABC):
    """A kind's stand-in."""

    kind: ClassVar[str]
    # The wanted port, which `KIND_PORT` of the environment changes.
    port: ClassVar[int]

    @abstractmethod
    def program(self, port: int, data: Path, logs: Path) -> Program:
        """Return what is started."""

    @abstractmethod
    def settings(self, url: str) -> Mapping[str, str]:
        """Return what the functions need to use it, which is at `url`."""

    @abstractmethod
    def coach(self, url: str) -> DemoCoach:
        """Give the demo coach an account there, if it has none: mostly its state ends with the stand-in."""


class GoogleStandin(Standin):
    """Google Calendar."""

    kind = "google"
    port = 3003

    def program(self, port: int, data: Path, logs: Path) -> Program:
        """Return a partner like the others."""
        return Partner("google", port, data, logs)

    def settings(self, url: str) -> Mapping[str, str]:
        """Return where it is, and a client, of which the stand-in asks nothing."""
        return {
            "GOOGLE_API_URL": f"{url}/calendar/v3",
            "GOOGLE_ACCOUNTS_URL": url,
            "GOOGLE_CLIENT_ID": "demo",
            "GOOGLE_CLIENT_SECRET": "demo",
        }

    def coach(self, url: str) -> DemoCoach:
        """Give Greta an account, which is the same at each start, and a meeting each morning."""
        email = "greta@example.com"
        account = {"email": email, "zone": "America/New_York", "refresh_token": "1//greta"}
        morning = {
            "summary": "Stand-up",
            "start": {"dateTime": "2026-01-01T10:00:00", "timeZone": "America/New_York"},
            "end": {"dateTime": "2026-01-01T10:30:00", "timeZone": "America/New_York"},
            "recurrence": ["RRULE:FREQ=DAILY"],
        }
        with httpx.Client(base_url=url, trust_env=False, timeout=10) as client:
            for path, body in (("accounts", account), ("events", {"email": email, "event": morning})):
                client.post(f"/control/{path}", json=body).raise_for_status()
        credentials = {
            "refresh_token": account["refresh_token"],
            "scopes": ["https://www.googleapis.com/auth/calendar.events"],
        }
        return DemoCoach(
            coach_id="coach-google", name="Greta Google", kind=self.kind, credentials=credentials
        )


class MicrosoftStandin(Standin):
    """Microsoft 365."""

    kind = "microsoft"
    port = 3004

    def program(self, port: int, data: Path, logs: Path) -> Program:
        """Return a partner like the others."""
        return Partner("microsoft", port, data, logs)

    def settings(self, url: str) -> Mapping[str, str]:
        """Return where it is, and the application that it knows."""
        return {
            "MICROSOFT_API_URL": f"{url}/v1.0",
            "MICROSOFT_ACCOUNTS_URL": url,
            "MICROSOFT_CLIENT_ID": "fairslot",
            "MICROSOFT_CLIENT_SECRET": "operator",
        }

    def coach(self, url: str) -> DemoCoach:
        """Give Mia a mailbox, whose refresh token is never replaced, and a meeting each morning."""
        zone = "America/New_York"
        mailbox = {"address": "mia@example.com", "zone": zone, "refresh_token": "0.mia"}
        morning = {
            "subject": "Stand-up",
            "start": {"dateTime": "2026-01-01T10:00:00", "timeZone": zone},
            "end": {"dateTime": "2026-01-01T10:30:00", "timeZone": zone},
            "recurrence": {
                "pattern": {"type": "daily", "interval": 1},
                "range": {"type": "noEnd", "startDate": "2026-01-01"},
            },
        }
        with httpx.Client(base_url=url, trust_env=False, timeout=10) as client:
            for path, body in (
                ("settings", {"rotates": False}),
                ("mailboxes", mailbox),
                ("events", {"address": mailbox["address"], "event": morning}),
            ):
                client.post(f"/control/{path}", json=body).raise_for_status()
        credentials = {"refresh_token": mailbox["refresh_token"], "scopes": ["Calendars.ReadWrite"]}
        return DemoCoach(
            coach_id="coach-microsoft", name="Mia Microsoft", kind=self.kind, credentials=credentials
        )


class CaldavStandin(Standin):
    """CalDAV: Radicale, as anybody may run it."""

    kind = "caldav"
    port = 3005

    def program(self, port: int, data: Path, logs: Path) -> Program:
        """Return the server."""
        return Radicale(port, data, logs)

    def settings(self, url: str) -> Mapping[str, str]:  # noqa: ARG002  # the source says where it is
        """Return nothing: no operator is registered anywhere."""
        return {}

    def coach(self, url: str) -> DemoCoach:
        """Give Carla a calendar, which stays, and a meeting each morning."""
        calendar = f"{url}/{USER}/calendar/"
        with httpx.Client(auth=(USER, PASSWORD), trust_env=False, timeout=10) as client:
            if client.request("PROPFIND", calendar).status_code == HTTPStatus.NOT_FOUND:
                client.request("MKCALENDAR", calendar).raise_for_status()
            headers = {"Content-Type": "text/calendar; charset=utf-8"}
            client.put(f"{calendar}stand-up.ics", content=_stand_up(), headers=headers).raise_for_status()
        return DemoCoach(
            coach_id="coach-caldav",
            name="Carla CalDAV",
            kind=self.kind,
            credentials={"username": USER, "password": PASSWORD},
            url=f"{url}/",
            calendar_ref=calendar,
            username=USER,
        )


def _stand_up() -> bytes:
    """Return a meeting each morning, as clients write it."""
    from icalendar import Calendar, Event  # late: most stacks have no such calendar

    zone = ZoneInfo("America/New_York")
    event = Event()
    event.add("UID", "stand-up")
    event.add("SUMMARY", "Stand-up")
    event.add("DTSTAMP", datetime(2026, 1, 1, tzinfo=UTC))
    event.add("DTSTART", datetime(2026, 1, 1, 10, tzinfo=zone))
    event.add("DTEND", datetime(2026, 1, 1, 10, 30, tzinfo=zone))
    event.add("RRULE", {"FREQ": "DAILY"})
    calendar = Calendar()
    calendar.add("VERSION", "2.0")
    calendar.add("PRODID", "-//A client//EN")
    calendar.add_component(event)
    calendar.add_missing_timezones()
    return bytes(calendar.to_ical())


STANDINS: Mapping[str, Standin] = {
    one.kind: one for one in (GoogleStandin(), MicrosoftStandin(), CaldavStandin())
}


class CalendarStandins:
    """Those that one stack runs."""

    def __init__(self, kinds: Sequence[str], ports: Mapping[str, int], data: Path, logs: Path) -> None:
        self._standins = [STANDINS[kind] for kind in kinds]
        self._programs = {one.kind: one.program(ports[one.kind], data, logs) for one in self._standins}
        self._logs = logs

    @property
    def programs(self) -> Mapping[str, Program]:
        """What is started, by kind."""
        return self._programs

    @property
    def urls(self) -> dict[str, str]:
        """Where they are, by kind, once they are ready."""
        return {kind: f"http://127.0.0.1:{program.port}" for kind, program in self._programs.items()}

    @property
    def settings(self) -> dict[str, str]:
        """What the functions need, once they are ready."""
        return {
            name: value for one in self._standins for name, value in one.settings(self.urls[one.kind]).items()
        }

    def make_coaches(self, environment: Mapping[str, str]) -> str:
        """Make the demo coaches that are missing, with what `environment` says of database and keys.

        Raises:
            StartError: it failed.

        """
        coaches = [one.coach(self.urls[one.kind]) for one in self._standins]
        log = self._logs / "demo-calendars.log"
        made = subprocess.run(
            [sys.executable, "-m", "local.demo_calendars"],
            input=json.dumps([asdict(coach) for coach in coaches]),
            env={**environment, "PYTHONPATH": PYTHONPATH},
            capture_output=True,
            text=True,
            timeout=_DEMO_SECONDS,
            check=False,
        )
        log.write_text(made.stdout + made.stderr)
        if made.returncode:
            raise StartError("the demo coaches could not be made", log)
        return f"demo coaches {', '.join(coach.coach_id for coach in coaches)}"
