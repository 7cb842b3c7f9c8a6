"""Tables for people: whatever the width, nothing of a row is left out."""

import itertools

import pytest
from rich.console import Console

from cli import tables

ROW = {
    "delivery_id": "01a2243d-356f-783f-b2f6-41b7f262b110",
    "event_type": "appointment.rescheduled",
    "appointment_id": "01a2243d-37a5-74e0-ad5d-bb0833131464",
    "status": "delivered",
}


@pytest.mark.parametrize(("width", "lines"), [(60, 5), (80, 5), (200, 5)])
def test_a_narrow_terminal_shows_each_row_as_a_paragraph(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int, lines: int
) -> None:
    """Nothing is cut off and no id is broken, so that it can be copied; a wide one shows a table."""
    monkeypatch.setattr(tables, "console", Console(highlight=False, width=width))
    tables.show_rows([ROW], [*ROW])
    shown = capsys.readouterr().out
    assert all(value in shown for value in ROW.values())
    assert len(shown.splitlines()) == lines
    assert ("─" in shown) == (width == 200)


def test_the_plan_of_a_team_is_a_line_a_change_in_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of ten coaches and three calendars; of what is created every member is new, so none is named."""
    monkeypatch.setattr(tables, "console", Console(highlight=False, width=80))
    coaches, calendars = [f"coach-{n:02}" for n in range(10)], ["intro", "advice", "follow-up"]
    members = ["name", "email", "time_zone", "active", "working_hours", "overrides", "limits", "buffers"]
    changes = [
        {"resource": kind, "id": one, "action": "create", "members": members}
        for kind, ids in (("coach", coaches), ("calendar", calendars))
        for one in ids
    ]
    changed = {"resource": "coach", "id": "zed", "action": "update", "members": ["notice"]}
    shares = [
        {
            "calendar_id": calendar_id,
            "kind": "weekend",
            "coach_id": coach_id,
            "share_before": 0.111111,
            "share_after": 0.1,
            "credit_before": -12.055556,
            "credit_after": -12.055555,
        }
        for calendar_id, coach_id in itertools.product(calendars, coaches)
    ]
    plan = {"changes": [*changes, changed], "appointments": [], "holds_released": 0, "shares": shares}
    tables.show_plan(plan, made=False)
    lines = [one.split() for one in capsys.readouterr().out.splitlines()]
    assert len(lines) < len(changes) + 1 + len(shares) + 15
    assert ["coach", "zed", "update", "notice"] in lines
    assert ["coach", "coach-00", "create"] in lines
    row = ["follow-up", "weekend", "coach-09", "0.111111", "0.1", "-12.055556", "-12.055555"]
    assert row in lines
