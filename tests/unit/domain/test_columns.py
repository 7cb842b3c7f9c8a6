"""Adding rows of bits column by column."""

import random

import pytest

from fairslot.domain.columns import column_sums


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8, 29, 300])
@pytest.mark.parametrize("rows", [1, 4, 32])
def test_column_sums(count: int, rows: int) -> None:
    """Whatever the number of rows and of those in a block, also where a sum needs more than a byte."""
    width, chance = 24, random.Random(count)  # noqa: S311 - the same rows every time
    given = [chance.getrandbits(width) | 1 for _ in range(count)]
    padded = given + [0] * (-count % rows)
    blocks = [
        sum(row << (rows - 1 - place) * width for place, row in enumerate(padded[begin : begin + rows]))
        for begin in range(0, len(padded), rows)
    ]

    found = column_sums(blocks, rows, width)

    assert found == [sum(row >> width - 1 - column & 1 for row in given) for column in range(width)]
