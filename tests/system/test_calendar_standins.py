"""The system with stand-ins of calendar providers, as CALENDARS starts them."""

import os
import signal
from datetime import datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import psycopg

from local.processes import free_port
from tests.support.stack import CALM, Stack, running, starts, wait_until

NEW_YORK = ZoneInfo("America/New_York")
VARIABLES = CALM | {"CALENDARS": "google", "GOOGLE_FAILURE_RATE": "0", "GOOGLE_LATENCY_MS": "0-20"}


def test_a_demo_coach_has_a_calendar_at_google(tmp_path: Path) -> None:
    """It is read with a token that is stored as ciphertext; a stand-in that ended knows the coach again."""
    with running(tmp_path / "data", VARIABLES | {"GOOGLE_PORT": str(free_port())}) as stack:
        wait_until(lambda: bool(starts(stack, "cal-google")), 60, "the calendar is read")
        offered = {_clock(one["start_time"]) for one in starts(stack, "cal-google")}
        assert time(9, 30) in offered
        assert not {time(9, 45), time(10, 0), time(10, 15)} & offered
        with psycopg.connect(stack.state["database_url"]) as connection:
            row = connection.execute(
                "SELECT credentials FROM calendar_sources WHERE kind = 'google'"
            ).fetchone()
        assert row is not None
        assert "greta" not in row[0]
        before = stack.state["pids"]["google"]
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: stack.state["pids"]["google"] != before, 60, "the stand-in runs again")
        assert _is_known(stack)


def _clock(start: str) -> time:
    return datetime.fromisoformat(start).astimezone(NEW_YORK).time()


def _is_known(stack: Stack) -> bool:
    form = {"grant_type": "refresh_token", "refresh_token": "1//greta"}
    return httpx.post(f"{stack.state['calendars']['google']}/token", data=form, timeout=10).status_code == 200
