"""Load SQL from the `.sql` files of `sql/`: named blocks, parameters only."""

import re
from functools import cache
from importlib.resources import files

_BLOCK = re.compile(r"^-- (?P<name>[a-z_]+): (?P<about>.+)$", re.MULTILINE)


@cache
def queries(aggregate: str) -> dict[str, bytes]:
    """Return the statements of one file by name.

    A block begins with a line `-- name: what it does` and ends where the next
    begins.
    """
    text = files("fairslot").joinpath("sql", f"{aggregate}.sql").read_text("utf-8")
    marks = list(_BLOCK.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return {
        mark["name"]: text[mark.end() : end].strip().rstrip(";").encode()
        for mark, end in zip(marks, ends, strict=True)
    }
