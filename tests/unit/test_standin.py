"""The stand-in of AWS: its corrections are for one version, and its guide names tests that exist."""

import re
from importlib import metadata
from pathlib import Path

import pytest

from tests.standin import __main__ as standin

_NAMED = re.compile(r"`(test_\w+\.py)::(test_\w+)`")


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is served, with a sentence that says what to do."""
    monkeypatch.setattr(metadata, "version", lambda _name: "1.6.0")
    with pytest.raises(SystemExit) as refused:
        standin.main()
    assert str(refused.value) == (
        "tests/standin corrects ministack 1.5.33, and this is 1.6.0: pin 1.5.33, or read each correction"
        " beside the new version, drop those that it does not need, and change VERSION"
    )


@pytest.mark.parametrize("name", ["standin", "ministack"])
def test_the_version_is_the_one_that_is_installed(name: str, root: Path) -> None:
    """The queues of the local stack and the account are served by one version."""
    pinned = (root / "requirements" / f"{name}.txt").read_text("utf-8")
    assert re.findall(r"^ministack==([\d.]+)", pinned, flags=re.MULTILINE) == [standin.VERSION]


def test_what_cannot_be_shown_is_asserted(root: Path) -> None:
    """Each line of the guide's list has a test, and it exists."""
    text = (root / "docs" / "stand-in.md").read_text("utf-8").partition("## What it cannot show")[2]
    lines = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert len(lines) > 15
    for line in lines:
        named = _NAMED.findall(line)
        assert named, line
        for file, test in named:
            assert f"def {test}(" in (root / "tests" / "unit" / file).read_text("utf-8"), line


def test_every_correction_is_in_the_guide(root: Path) -> None:
    """A file that corrects something is named."""
    guide = (root / "docs" / "stand-in.md").read_text("utf-8")
    correcting = [
        file.name
        for file in (root / "tests" / "standin").glob("*.py")
        if "\ndef correct(" in file.read_text()
    ]
    assert len(correcting) > 4
    assert all(f"`{name}`" in guide for name in correcting)
