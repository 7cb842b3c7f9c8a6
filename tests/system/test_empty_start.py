"""From an empty database to a team that is booked, with one document, and from there to another one."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True, kw_only=True)
class Empty:
    """A system that began with nothing but an admin key, and a folder for files."""

    api: httpx.Client
    key: str
    folder: Path

    def fairslot(self, *arguments: str, code: int = 0) -> str:
        """Run the command, which has to end with an exit code; return what it printed."""
        environment = {"FAIRSLOT_URL": str(self.api.base_url), "FAIRSLOT_KEY": self.key, "COLUMNS": "200"}
        done = subprocess.run(
            [sys.executable, "-m", "cli", *arguments],
            cwd=self.folder,
            env=environment | {"PYTHONPATH": PYTHONPATH},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done
        return done.stdout + done.stderr

    def scheduled(self, coach_id: str) -> list[dict[str, Any]]:
        """Return the coming appointments of a coach."""
        query: dict[str, Any] = {"coach_id": coach_id, "status": "scheduled", "limit": 200}
        found: list[dict[str, Any]] = self.api.get("/api/appointments", params=query).json()["data"]
        return found

    def book(self, calendar_id: str, number: int) -> None:
        """Book so many appointments, one after the other."""
        query: dict[str, Any] = {"calendar_id": calendar_id, "days": 7}
        starts = self.api.get("/api/availability", params=query).json()["slots"]
        for slot in starts[10::3][:number]:
            body = booking_body(slot["start_time"], calendar_id=calendar_id)
            assert self.api.post("/api/appointments", json=body).status_code == 201


@contextmanager
def empty(folder: Path) -> Iterator[Empty]:
    """Start the system with an empty database."""
    folder.mkdir()
    with running(folder / "data", {"FAIRSLOT_DEMO": "none"}) as stack:
        key = " ".join(stack.said).partition("the admin key ")[2].partition(",")[0]
        headers = {"X-API-Key": key}
        with httpx.Client(base_url=stack.api.base_url, headers=headers, timeout=30) as api:
            yield Empty(api=api, key=key, folder=folder)


def tour() -> tuple[str, list[list[str]]]:
    """Return the file of the README's tour of a team, and the arguments of its commands."""
    text = (
        (ROOT / "README.md").read_text("utf-8").partition("### A team of your own")[2].partition("\n## ")[0]
    )
    (team,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    return team, [
        shlex.split(one) for one in re.findall(r"^\$ \.venv/bin/fairslot (.*)$", text, re.MULTILINE)
    ]


def test_a_team_of_ten_with_three_calendars_is_bookable_with_one_document(tmp_path: Path) -> None:
    """Key, document, bookings, a coach with twenty of them who goes by plan, export: nothing needs SQL.

    Where there is nothing, what was exported makes the same, and the README's tour runs.
    """
    with empty(tmp_path / "first") as first:
        (first.folder / "team.yaml").write_text(TEAM, "utf-8")
        assert "nothing is changed yet" in first.fairslot("apply", "team.yaml", "--dry-run")
        assert first.api.get("/api/coaches").json()["data"] == []
        first.fairslot("apply", "team.yaml")
        assert "nothing to change" in first.fairslot("apply", "team.yaml")
        first.book("intro", 200)
        moved = first.scheduled("c0")
        assert len(moved) == 20
        turn_off = ("coaches", "set", "c0", '{"active": false}')
        assert "reassigned" in first.fairslot(*turn_off, "--dry-run")
        assert "APPOINTMENTS_AFFECTED" in first.fairslot(*turn_off, code=1)
        assert len(first.scheduled("c0")) == 20
        first.fairslot(*turn_off, "--appointments", "reassign")
        assert first.scheduled("c0") == []
        taken_over = {one["appointment_id"] for n in range(1, 10) for one in first.scheduled(f"c{n}")}
        assert {one["appointment_id"] for one in moved} <= taken_over
        first.fairslot("export", "-o", "team.yaml")
        assert "nothing to change" in first.fairslot("apply", "team.yaml", "--prune")
        exported = (first.folder / "team.yaml").read_text("utf-8")
    with empty(tmp_path / "second") as second:
        (second.folder / "team.yaml").write_text(exported, "utf-8")
        second.fairslot("apply", "team.yaml")
        assert second.fairslot("export") == exported
        team, commands = tour()
        (second.folder / "team.yaml").write_text(team, "utf-8")
        assert [one[0] for one in commands] == ["apply", "apply", "coaches", "export"]
        for one in commands:
            second.fairslot(*one)
