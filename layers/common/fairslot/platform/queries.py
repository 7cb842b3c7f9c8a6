"""Load SQL from the `.sql` files of `sql/`: named blocks, parameters only."""

import re
from functools import cache
from importlib.resources import files

_BLOCK = re.compile(r"^-- name: (?P<name>[a-z_]+)\n(?P<about>(?:^-- .+\n)+)", re.MULTILINE)


class BlocksError(Exception):
    """A `.sql` file is not made of named, described blocks."""


@cache
def queries(aggregate: str) -> dict[str, bytes]:
    """Return the statements of one file by name. Raises BlocksError."""
    return blocks(files("fairslot").joinpath("sql", f"{aggregate}.sql").read_text("utf-8"))


def blocks(text: str) -> dict[str, bytes]:
    """Return the statements of a text by name.

    A block begins with a line `-- name: book` and comments that say what it does, and ends where the next
    begins.

    Raises:
        BlocksError: there is text before the first block, or a block lacks its comment or has another's name.

    """
    marks = list(_BLOCK.finditer(text))
    if text[: marks[0].start() if marks else None].strip() or text.count("-- name:") != len(marks):
        raise BlocksError
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    found = {
        mark["name"]: text[mark.end() : end].strip().rstrip(";").encode()
        for mark, end in zip(marks, ends, strict=True)
    }
    if len(found) != len(marks):
        raise BlocksError
    return found
