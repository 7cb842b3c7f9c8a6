"""Google's partial responses: `fields=kind,items(id,start)` leaves all other members out."""

import re
from typing import Any

_TOKEN = re.compile(r"[^,()/]+|[,()/]")

type Mask = dict[str, Mask]


def parse(text: str) -> Mask:
    """Return a mask as a tree, whose leaves are whole members. Raises ValueError."""
    tokens = _TOKEN.findall(text)[::-1]
    mask = _list(tokens)
    if tokens:
        raise ValueError(f"invalid field selection {text}")
    return mask


def apply(mask: Mask, value: Any) -> Any:
    """Return what the mask leaves of a value."""
    if isinstance(value, list):
        return [apply(mask, one) for one in value]
    if not mask or not isinstance(value, dict):
        return value
    return {name: apply(mask[name], value[name]) for name in value if name in mask}


def _list(tokens: list[str]) -> Mask:
    mask: Mask = {}
    while True:
        mask |= _path(tokens)
        if not tokens or tokens[-1] != ",":
            return mask
        tokens.pop()


def _path(tokens: list[str]) -> Mask:
    name = tokens.pop() if tokens else ""
    if not name or name in ",()/":
        raise ValueError("a field is missing")
    if tokens and tokens[-1] == "/":
        tokens.pop()
        return {name: _path(tokens)}
    if not tokens or tokens[-1] != "(":
        return {name: {}}
    tokens.pop()
    inner = _list(tokens)
    if not tokens or tokens.pop() != ")":
        raise ValueError("a bracket is not closed")
    return {name: inner}
