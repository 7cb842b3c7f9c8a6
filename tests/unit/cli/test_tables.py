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
