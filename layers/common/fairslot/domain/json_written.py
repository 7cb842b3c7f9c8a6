"""JSON whose numbers stay as they were written: 1.10 is not 1.1, and 9e307 is five characters long.

Python's floats lose digits, and Postgres' jsonb writes every number out. So JSON that is the client's own is
stored and returned as text.
"""

import json
import re
from collections.abc import Mapping
from typing import Self

# No other text of an answer begins with it: clients cannot send NUL, and Postgres cannot store it.
_MARK = "\0"
_MARKED = re.compile(r'"\\u0000((?:[^"\\]|\\.)*)"')


class WrittenInt(int):
    """An integer that remembers how it was written."""

    text: str

    def __new__(cls, text: str) -> Self:
        """Read it; ValueError beyond the digits that Python reads."""
        made = super().__new__(cls, text)
        made.text = text
        return made


class WrittenFloat(float):
    """A float that remembers how it was written."""

    text: str

    def __new__(cls, text: str) -> Self:
        """Read it."""
        made = super().__new__(cls, text)
        made.text = text
        return made


def write(value: object, *, in_order: bool = False) -> str:
    """Write a value as compact JSON, numbers as they were written; `in_order` sorts the members by name.

    What JSON has no type for is written as its text.
    """
    if isinstance(value, WrittenInt | WrittenFloat):
        return value.text
    if isinstance(value, Mapping):
        members = sorted(value.items()) if in_order else value.items()
        inside = (
            f"{json.dumps(name, ensure_ascii=False)}:{write(one, in_order=in_order)}" for name, one in members
        )
        return f"{{{','.join(inside)}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(write(one, in_order=in_order) for one in value)}]"
    return json.dumps(value, ensure_ascii=False, default=str)


def dump(answer: object) -> str:
    """Write an answer as compact JSON; texts that as_json() marked are inserted as they are."""
    text = json.dumps(answer, separators=(",", ":"), ensure_ascii=False)
    return _MARKED.sub(lambda found: str(json.loads(f'"{found[1]}"')), text)


def as_json(text: str) -> str:
    """Mark a text of JSON for dump() to insert as it is."""
    return _MARK + text
