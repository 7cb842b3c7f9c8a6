"""Tables for people: whatever the width, nothing of a row is left out."""

import pytest
from rich.console import Console

from cli import tables

ROW = {
    "delivery_id": "01a2243d-356f-783f-b2f6-41b7f262b110",
    "event_type": "appointment.rescheduled",
    "appointment_id": "01a2243d-37a5-74e0-ad5d-bb0833131464",
    "status": "delivered",
}


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_narrow_table_cuts_nothing_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    """An id that does not fit goes on in the next line."""
    monkeypatch.setattr(tables, "console", Console(highlight=False, width=width))
    tables.show_rows([ROW], [*ROW])
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert "…" not in str(shown)
    text = "".join(line[0] for line in shown if line)
    assert ROW["delivery_id"] in text
