"""The command `fairslot` against the API over HTTP: keys, the audit, forgetting."""

import json
from pathlib import Path

from fairslot.platform.db import Connection
from tests.handlers.command.conftest import Run
from tests.support.http import booked
from tests.support.tables import count


def test_keys_are_made_rotated_and_revoked(run: Run, team: Connection) -> None:
    """A key is all that is printed where it is made, so that a script can keep it; lists do not have it."""
    made = run("keys", "create", "site", "--scope", "read", "--calendar", "cal", "--rate-limit", "7")
    assert made.returncode == 0, made.stderr
    key, key_id = made.stdout.strip(), made.stderr.partition(";")[0]
    assert run("--json", "deliveries", FAIRSLOT_KEY=key).returncode == 1
    listed = run("keys", "list")
    assert key_id in listed.stdout
    assert key not in listed.stdout
    shown = json.loads(run("--json", "keys", "list").stdout)[0]
    assert (shown["calendars"], shown["rate_limit"], shown["scopes"]) == (["cal"], 7, ["read"])
    rotated = run("keys", "rotate", key_id, "--overlap-hours", "1")
    assert rotated.returncode == 0, rotated.stderr
    assert rotated.stdout.strip() not in {"", key}
    assert "the one before it works until 2" in rotated.stderr
    assert run("keys", "rotate", key_id).returncode == 1
    assert run("keys", "revoke", key_id).returncode == 0
    assert json.loads(run("--json", "keys", "list").stdout)[0]["state"] == "revoked"
    assert run("keys", "create", "nothing").returncode == 2


def test_the_audit_says_who_changed_what(run: Run, team: Connection, file: Path) -> None:
    """As a table, filtered, and for scripts with what was before and after."""
    assert run("apply", str(file)).returncode == 0
    table = run("audit", "--resource", "coach", "--id", "ann").stdout
    assert "created" in table
    assert "/api/apply" in table
    assert "b.en" not in table
    (entry,) = json.loads(run("--json", "audit", "--resource", "coach", "--id", "ann").stdout)
    assert (entry["before"], entry["after"]["name"]) == (None, "Ann")


def test_a_customer_is_forgotten(run: Run, team: Connection) -> None:
    """After a question, or with --yes; appointments to come are shown and refuse it."""
    made = booked()["appointment_id"]
    assert run("forget", "zoe@example.com").returncode == 1
    refused = run("forget", "zoe@example.com", "--yes")
    assert refused.returncode == 1
    assert made in refused.stdout
    assert count(team, "coach_appointments", "contact_email IS NOT NULL") == 1
    done = run("--json", "forget", "Zoe@example.com", "--yes", "--appointments", "cancel")
    assert json.loads(done.stdout) == {"appointments": 1, "cancelled": 1}
    assert count(team, "coach_appointments", "contact_email IS NOT NULL") == 0
    booked(contact_email="zo/e%@example.com")
    done = run("--json", "forget", "zo/e%@example.com", "--yes", "--appointments", "cancel")
    assert json.loads(done.stdout) == {"appointments": 1, "cancelled": 1}
