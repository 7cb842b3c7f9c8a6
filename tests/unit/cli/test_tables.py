"""Tables on a narrow terminal."""

from io import StringIO

import pytest
from rich.console import Console

from cli import tables


def test_what_is_wider_than_the_terminal_is_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """An id goes on in the next line, so that it can be copied, also from a pipe of 80 columns."""
    out = StringIO()
    monkeypatch.setattr(tables, "console", Console(file=out, width=20))
    tables.show_rows([{"id": "01a22442-2c42-712c-8286-7fd141f7e678"}], ["id"])
    assert "01a22442-2c42-712c-8286-7fd141f7e678" in "".join(out.getvalue().split())
