"""The command `fairslot` against the API over HTTP: teams, appointments, ledgers."""

import json
from pathlib import Path

import pytest

from fairslot.platform.db import Connection
from tests.handlers.command.conftest import TEAM, Run
from tests.support.clock import NINE
from tests.support.http import KEY, booked
from tests.support.tables import count, table_digests
from tests.support.team import add_coach, set_calendar

_LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))


def test_a_team_is_applied_from_a_file(run: Run, team: Connection, file: Path) -> None:
    """The plan first; then for real; and again it is no change."""
    before = table_digests(team)
    dry = run("apply", str(file), "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "nothing is changed yet" in dry.stdout
    assert "intro/b.en" in dry.stdout
    assert table_digests(team) == before
    assert run("apply", str(file)).returncode == 0
    assert "nothing to change" in run("apply", str(file)).stdout
    row = json.loads(run("--json", "coaches", "show", "b.en").stdout)
    assert row["overrides"] == [{"date": "2026-12-24", "hours": []}]
    assert row["working_hours"] == {"tue": [["09:00", "17:00"]]}


def test_what_is_exported_is_what_is_applied(run: Run, file: Path, tmp_path: Path) -> None:
    """As YAML and as JSON."""
    assert run("apply", str(file)).returncode == 0
    out = tmp_path / "out.yaml"
    assert run("export", "-o", str(out)).returncode == 0
    assert "nothing to change" in run("apply", str(out)).stdout
    assert run("export").stdout == out.read_text("utf-8")
    out.write_text(run("--json", "export").stdout, "utf-8")
    assert "nothing to change" in run("apply", str(out)).stdout


@pytest.mark.parametrize(("old", "new", "place"), [
    ("    name: Ben", "    nmae: Ben", "8:5: body.coaches.b.en.nmae: extra_forbidden"),
    ("    slot_duration: 30", "    slot_duration: 20", "15:5: body.calendars.intro.slot_duration"),
    ("tue: [[09:00, 17:00]]", "tue: [[09:00, 17:10]]", "6:21: body.coaches.ann.working_hours.tue.0.1"),
    ("{weight: 2}", "{weihgt: 2}", "16:28: body.calendars.intro.team.b.en.weihgt: extra_forbidden"),
    ("{date: 2026-12-24, hours: []}", "{date: tomorrow}", "11:18: body.coaches.b.en.overrides.0.date"),
])  # fmt: skip
def test_what_is_wrong_is_found_in_the_file(run: Run, file: Path, old: str, new: str, place: str) -> None:
    """By line and column; exit code 1."""
    file.write_text(TEAM.replace(old, new), "utf-8")
    refused = run("apply", str(file))
    assert refused.returncode == 1
    assert f"{file}:{place}" in refused.stderr


@pytest.mark.parametrize(("old", "new", "place"), [
    ("b.en: {weight: 2}}", "b.en: {}, nobody: {}}", "16:31: body.calendars.intro.team.nobody: not_found"),
    ("    name: Intro\n", "    name: Intro\n    slug: cal\n", "15:5: body.calendars.intro.slug: taken"),
    ("  ann:\n", "  theirs:\n", "2:3: body.coaches.theirs: not_found"),
])  # fmt: skip
def test_what_cannot_be_applied_is_found_in_the_file(
    run: Run, team: Connection, file: Path, old: str, new: str, place: str
) -> None:
    """A coach that there is not, a slug of another calendar, an id of another tenant; nothing is changed."""
    add_coach(team, "theirs", tenant_id="other")
    set_calendar(team, "cal", slug="cal")
    before = table_digests(team)
    file.write_text(TEAM.replace(old, new), "utf-8")
    refused = run("apply", str(file))
    assert refused.returncode == 1
    assert f"{file}:{place}" in refused.stderr
    assert table_digests(team) == before


@pytest.mark.parametrize(("text", "message"), [
    ("", "the file is empty"),
    ("coaches: [", "team.yaml:1:11"),
    ("coaches: {}\ncoaches: {}", "team.yaml:2:1: coaches is there twice"),
    ("coaches: !!python/object:os.system {}", "team.yaml:1:10"),
    ("coaches: !secret x", "team.yaml:1:10: the tag !secret is not known"),
    ("[a]: 1", "a name is a text"),
    ("a: " + "x" * 1024 * 1024, "more than a megabyte"),
    (_LAUGHS, "more values"),
])  # fmt: skip
def test_a_file_that_is_no_document_is_refused(run: Run, file: Path, text: str, message: str) -> None:
    """Before anything is sent, and within bounds."""
    file.write_text(text, "utf-8")
    refused = run("apply", str(file), FAIRSLOT_URL="http://127.0.0.1:1")
    assert refused.returncode == 1
    assert message in refused.stderr


def test_a_plan_is_shown_and_followed(run: Run, team: Connection) -> None:
    """What touches appointments is refused with the plan until it is said what becomes of them."""
    coach_id = str(booked(NINE)["coach_id"])
    refused = run("coaches", "set", coach_id, '{"active": false}')
    assert refused.returncode == 1
    assert "reassigned" in refused.stdout
    assert "APPOINTMENTS_AFFECTED" in refused.stderr
    assert "plan" in json.loads(run("--json", "coaches", "delete", coach_id).stdout)
    assert run("coaches", "delete", coach_id, "--dry-run").returncode == 0
    assert run("coaches", "delete", coach_id, "--appointments", "reassign").returncode == 0
    assert count(team, "coach_appointments", f"coach_id = '{coach_id}'") == 0


def test_things_are_shown(run: Run) -> None:
    """Coaches, calendars and teams; a decision in words; deliveries; the state of the API."""
    appointment = booked(NINE)
    assert "coach-01" in run("coaches", "list").stdout
    assert "cal" in run("calendars", "list", "--coach", "coach-01").stdout
    assert "weight" in run("calendars", "team", "cal").stdout
    assert "slot_duration" in run("calendars", "show", "cal").stdout
    assert "3 coaches were free." in run("why", appointment["appointment_id"]).stdout
    assert json.loads(run("--json", "why", appointment["appointment_id"]).stdout)["seq"] == 1
    assert json.loads(run("--json", "deliveries", "--status", "failed").stdout) == []
    assert run("status").returncode == 0


def test_a_ledger_is_adjusted_and_replayed(run: Run, team: Connection) -> None:
    """The plan first; the record replays, also under another rule; one that was touched does not."""
    kinds = '{"hour_kinds": [{"name": "morning", "before": "23:00"}]}'
    assert run("calendars", "set", "cal", kinds).returncode == 0
    appointment = booked(NINE)
    assert "kind of hour: morning (as of then)" in run("why", appointment["appointment_id"]).stdout
    adjusting = ("adjust", "cal", "coach-02", "1.5", "covered for Ann", "--kind", "morning")
    assert "credit_after" in run(*adjusting, "--dry-run").stdout
    assert count(team, "changes", "type = 'credit.adjusted'") == 0
    assert "covered for Ann" in run(*adjusting).stdout
    assert run("adjust", "cal", "nobody", "1", "why").returncode == 1
    assert run("adjust", "cal", "coach-01", "--", "-0.5", "why").returncode == 0
    said = "cal: 3 records replayed; every choice, share and credit equals the record"
    assert said in run("replay").stdout
    what_if = run("replay", "--calendar", "cal", "--what-if", "--gamma", "0", "--policy", "highest_score")
    assert (what_if.returncode, "as recorded" in what_if.stdout) == (0, True)
    (found,) = json.loads(run("--json", "replay", "--what-if", "--low", "0.1").stdout)
    assert (found["steps"], found["difference"]) == (3, None)
    assert found["what_if"]["coaches"]["coach-01"]["assigned"] == 1
    assert run("replay", "--gamma", "2").returncode == 2
    assert run("replay", "--what-if").returncode == 2
    assert run("replay", "--what-if", "--low", "3", "--high", "1").returncode == 2
    assert run("replay", "--what-if", "--gamma", "nan").returncode == 2
    assert run("replay", "--calendar", "none").returncode == 1
    team.execute("UPDATE decisions SET chosen = 3 WHERE seq = 1")
    touched = run("replay")
    assert touched.returncode == 1
    assert "cal: seq 1: chosen: recorded coach-03, replayed coach-01" in touched.stdout


def test_why_says_what_was_required(run: Run) -> None:
    """By whom, and what kept each coach out; scripts get it as the API says it."""
    run("coaches", "set", "coach-02", '{"attributes": {"language": ["de", "en"]}}')
    run("calendars", "set", "cal", '{"requires": ["language:en"]}')
    made = booked(NINE, requires=["language:de"])
    told = run("why", made["appointment_id"]).stdout
    assert "required: language:en (the calendar), language:de (the request)" in told
    assert "2 coaches did not meet language:de, language:en." in " ".join(told.split())
    assert "missing" in told
    asked = json.loads(run("--json", "why", made["appointment_id"]).stdout)
    assert asked["candidates"][1]["missing"] == []
    assert {"rule": "calendar", "attribute": "language:en"} in asked["candidates"][0]["missing"]


def test_returncodes_tell_what_happened(run: Run, file: Path) -> None:
    """0 done, 1 refused, 2 wrong use, 3 no usable answer."""
    assert run("coaches", "list").returncode == 0
    assert run("coaches", "show", "nobody").returncode == 1
    assert run("coaches", "list", FAIRSLOT_KEY="unknown").returncode == 1
    assert run("coaches", "list", FAIRSLOT_KEY="").returncode == 2
    assert run("coaches", "set", "ann", "active=no").returncode == 2
    assert run("apply", str(file), "--appointments", "ignore").returncode == 2
    assert run("coaches", "list", FAIRSLOT_URL="http://127.0.0.1:1").returncode == 3


def test_a_profile_says_where_the_api_is(run: Run, url: str, tmp_path: Path) -> None:
    """By name, or the default; the environment wins over it."""
    file = tmp_path / "profiles.toml"
    file.write_text(
        f'[default]\nurl = "http://127.0.0.1:1"\nkey = "x"\n[here]\nurl = "{url}"\nkey = "{KEY}"\n', "utf-8"
    )
    unset = {"FAIRSLOT_URL": "", "FAIRSLOT_KEY": "", "FAIRSLOT_PROFILES": str(file)}
    assert run("--profile", "here", "coaches", "list", **unset).returncode == 0
    assert run("coaches", "list", **unset).returncode == 3
    assert run("coaches", "list", **unset | {"FAIRSLOT_URL": url, "FAIRSLOT_KEY": KEY}).returncode == 0
    assert run("--profile", "there", "coaches", "list", **unset).returncode == 2
    file.write_text("[default", "utf-8")
    assert run("coaches", "list", **unset).returncode == 2
