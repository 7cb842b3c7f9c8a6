"""The system with stand-ins of calendar providers, as CALENDARS starts them."""

import os
import signal
from datetime import datetime, time
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import psycopg

from local.processes import free_port
from tests.support.demo_calendars import demo_calendars
from tests.support.stack import CALM, Stack, running, starts, wait_until

NEW_YORK = ZoneInfo("America/New_York")
KINDS = ("google", "microsoft", "caldav")
VARIABLES = CALM | {
    "CALENDARS": ",".join(KINDS),
    **{f"{kind.upper()}_FAILURE_RATE": "0" for kind in KINDS},
    **{f"{kind.upper()}_LATENCY_MS": "0-20" for kind in KINDS},
}
# Longer than what base64 has by chance.
SECRETS = ("//greta", "0.mia", "app password")


def test_demo_coaches_have_calendars_at_stand_ins(tmp_path: Path) -> None:
    """They are read by tokens that are stored as ciphertext; a stand-in that ended knows its coach again."""
    ports = {f"{kind.upper()}_PORT": str(free_port()) for kind in KINDS}
    with running(tmp_path / "data", VARIABLES | ports) as stack:
        for kind in KINDS:
            wait_until(partial(_is_offered, stack, f"cal-{kind}"), 60, f"{kind} is read")
            offered = {_clock(one["start_time"]) for one in starts(stack, f"cal-{kind}")}
            assert time(9, 30) in offered
            assert not {time(9, 45), time(10, 0), time(10, 15)} & offered
        with psycopg.connect(stack.state["database_url"]) as connection:
            rows = connection.execute(
                "SELECT kind, credentials FROM calendar_sources WHERE kind = ANY(%s)", [list(KINDS)]
            ).fetchall()
        assert {kind for kind, _ in rows} == set(KINDS)
        assert not [kind for kind, credentials in rows if any(one in credentials for one in SECRETS)]
        _end(stack, "google")
        assert _is_known(stack)
        stays = demo_calendars(stack)["caldav"]
        _end(stack, "caldav")
        assert stays.mine() == []
        pids = stack.state["pids"]
    assert not [kind for kind in KINDS if Path(f"/proc/{pids[kind]}").exists()]


def _end(stack: Stack, kind: str) -> None:
    """Kill a stand-in, and wait until it is there again."""
    before = stack.state["pids"][kind]
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: stack.state["pids"][kind] != before, 60, "the stand-in runs again")


def _is_offered(stack: Stack, calendar_id: str) -> bool:
    return bool(starts(stack, calendar_id))


def _clock(start: str) -> time:
    return datetime.fromisoformat(start).astimezone(NEW_YORK).time()


def _is_known(stack: Stack) -> bool:
    form = {"grant_type": "refresh_token", "refresh_token": "1//greta"}
    return httpx.post(f"{stack.state['calendars']['google']}/token", data=form, timeout=10).status_code == 200
