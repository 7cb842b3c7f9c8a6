"""Named blocks of SQL: each says its name and what it does, and nothing is taken for one by chance."""

from pathlib import Path

import pytest

from fairslot.platform.queries import BlocksError, blocks, queries

TWO = """\
-- name: find
-- One row. Note: it may be missing.
SELECT 1;

-- name: count
-- How many there are,
-- whatever they are.
SELECT count(*)
-- note: this is no block
  FROM things;
"""


def test_a_block_ends_where_the_next_begins() -> None:
    """A comment inside a statement is a part of it, even if it looks like a name."""
    found = blocks(TWO)
    assert list(found) == ["find", "count"]
    assert found["find"] == b"SELECT 1"
    assert found["count"] == b"SELECT count(*)\n-- note: this is no block\n  FROM things"


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1;\n",
        "-- find: one row\nSELECT 1;\n",
        "-- name: find\nSELECT 1;\n",
        "-- name: find\n-- One row.\nSELECT 1;\n-- name: find\n-- Again.\nSELECT 2;\n",
        "-- name: Find it\n-- One row.\nSELECT 1;\n",
    ],
)
def test_what_is_no_block_is_refused(text: str) -> None:
    """A file is either read as it is meant or not at all."""
    with pytest.raises(BlocksError):
        blocks(text)


def test_every_file_consists_of_blocks(root: Path) -> None:
    """All of them are read, each with a statement in every block."""
    names = [one.stem for one in (root / "layers/common/fairslot/sql").glob("*.sql")]
    assert len(names) > 10
    assert all(statement for name in names for statement in queries(name).values())
