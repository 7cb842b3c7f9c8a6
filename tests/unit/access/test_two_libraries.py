"""Tokens are signed in the tests by another library than the one that checks them."""

import re
from pathlib import Path

_IMPORTED = re.compile(r"^\s*(?:from|import) (jwt|joserfc|jose|authlib)\b", re.MULTILINE)


def libraries(folder: Path) -> set[str]:
    """Return the libraries for tokens that the modules of a folder import."""
    return {name for file in folder.rglob("*.py") for name in _IMPORTED.findall(file.read_text("utf-8"))}


def test_no_library_checks_what_it_has_signed(root: Path) -> None:
    """A mistake of one would be hidden by the same mistake in the other."""
    assert libraries(root / "layers") | libraries(root / "functions") == {"joserfc"}
    assert libraries(root / "tests") == {"jwt"}
    assert "pyjwt" not in (root / "layers/common/requirements.txt").read_text("utf-8").lower()
