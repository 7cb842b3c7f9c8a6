"""From an empty database to a team that is booked, with one document."""

import subprocess
import sys
from pathlib import Path

import httpx

from local.function_env import PYTHONPATH
from tests.support.http import booking_body
from tests.support.stack import ROOT, running

DAY = '[["00:00", "24:00"]]'
WEEK = "{mon: %s, tue: %s, wed: %s, thu: %s, fri: %s, sat: %s, sun: %s}" % ((DAY,) * 7)
TEAM = (
    "coaches:\n"
    + "".join(f"  c{n}: {{name: C{n}, time_zone: UTC, working_hours: {WEEK}}}\n" for n in range(10))
    + "calendars:\n"
    + "".join(
        f"  {name}: {{name: {name.title()}, slot_duration: 30, "
        f"team: {{{', '.join(f'c{n}: {{}}' for n in range(10))}}}}}\n"
        for name in ("intro", "talk", "check")
    )
)


def test_a_team_of_ten_with_three_calendars_is_bookable_with_one_document(tmp_path: Path) -> None:
    """Key, document, bookings, a coach who goes by plan, export: nothing needs SQL."""
    file = tmp_path / "team.yaml"
    file.write_text(TEAM, "utf-8")
    with running(tmp_path / "data", {"FAIRSLOT_DEMO": "none"}) as stack:
        said = " ".join(stack.said)
        key = said.partition("the admin key ")[2].partition(",")[0]
        environment = {"FAIRSLOT_URL": str(stack.api.base_url), "FAIRSLOT_KEY": key, "PYTHONPATH": PYTHONPATH}

        def fairslot(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-m", "cli", *arguments],
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )

        applied = fairslot("apply", str(file))
        assert applied.returncode == 0, applied.stderr
        with httpx.Client(base_url=stack.api.base_url, headers={"X-API-Key": key}, timeout=30) as api:
            starts = api.get("/api/availability", params={"calendar_id": "intro", "days": 7}).json()["slots"]
            for slot in starts[10::3][:200]:
                body = booking_body(slot["start_time"], calendar_id="intro")
                assert api.post("/api/appointments", json=body).status_code == 201
            refused = fairslot("coaches", "set", "c0", '{"active": false}')
            assert refused.returncode == 1
            assert "APPOINTMENTS_AFFECTED" in refused.stderr
            done = fairslot("coaches", "set", "c0", '{"active": false}', "--appointments", "reassign")
            assert done.returncode == 0, done.stderr
            page = api.get("/api/appointments", params={"coach_id": "c0", "status": "scheduled"}).json()
            assert page["data"] == []
        exported = fairslot("export")
        file.write_text(exported.stdout, "utf-8")
        assert "nothing to change" in fairslot("apply", str(file), "--prune").stdout
