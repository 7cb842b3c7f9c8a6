"""Which database `make replay` reads, and what it says if there is none."""

from pathlib import Path

import pytest

from local.processes import free_port
from tools import replay


@pytest.fixture(autouse=True)
def _no_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment in which no local stack runs."""
    monkeypatch.setenv("FAIRSLOT_DATA", str(tmp_path))
    monkeypatch.delenv("DATABASE_URL", raising=False)


def error(capsys: pytest.CaptureFixture[str]) -> str:
    """Run a replay that must fail; return the one line that it prints."""
    assert replay.main([]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_without_a_database_the_error_says_how_to_get_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither DATABASE_URL nor a local stack."""
    assert error(capsys) == "no database: start the local stack with `make run`, or set DATABASE_URL\n"


@pytest.mark.parametrize("of_a_stack", [True, False])
def test_a_database_that_is_down_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, of_a_stack: bool
) -> None:
    """Also of a stack that was killed and has left its state file; the password is not in it."""
    url = f"postgresql://fairslot:secret@127.0.0.1:{free_port()}/fairslot"
    if of_a_stack:
        (tmp_path / "stack.json").write_text(f'{{"database_url": "{url}"}}')
    else:
        monkeypatch.setenv("DATABASE_URL", url)
    said = error(capsys)
    assert said.startswith("cannot read the database: ")
    assert "secret" not in said
