"""The guards that mutants take out: each one's text and test are where it says."""

from pathlib import Path

import pytest

from tests.mutants.__main__ import GUARDS
from tests.mutants.guard import Guard


@pytest.mark.parametrize("guard", GUARDS, ids=[guard.name for guard in GUARDS])
def test_a_guard_is_where_it_is_said_to_be(root: Path, guard: Guard) -> None:
    """A mutant whose text has changed since would otherwise be noticed only by a run of all of them."""
    text = (root / guard.path).read_text("utf-8")
    assert text.count(guard.old) == guard.times
    file, _, test = guard.test.partition("::")
    assert (
        f"def {test.partition('[')[0]}" in (root / file).read_text("utf-8")
        if test
        else (root / file).exists()
    )
