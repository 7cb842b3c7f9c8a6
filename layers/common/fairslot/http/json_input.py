"""JSON as clients send it, held to what can be stored and given back."""

import json
from collections.abc import Iterable
from itertools import chain
from typing import Any

from fairslot.domain.errors import ValidationError
from fairslot.domain.json_written import WrittenFloat, WrittenInt

_DEEPEST = 32


def read_object(text: str) -> Any:
    """Read a JSON object, or null, that Postgres can keep; its numbers remember how they were written.

    Raises:
        JSONDecodeError: no JSON, or with NaN, infinity, a NUL, a lone surrogate or too deep a nesting.
        ValidationError: JSON of another type.

    """
    try:
        value = json.loads(text, parse_int=WrittenInt, parse_float=WrittenFloat)
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise json.JSONDecodeError("not JSON", "", 0) from error
    if value is not None and not isinstance(value, dict):
        # The resolver would take the first entry of an array for the body.
        raise ValidationError("The body is not an object.", [("body", "model_type")])
    level: list[Any] = [value]
    for _ in range(_DEEPEST):
        if any("\0" in one for one in level if isinstance(one, str)):
            raise json.JSONDecodeError("a NUL character", "", 0)
        level = [part for one in level for part in _parts(one)]
    if level:
        raise json.JSONDecodeError("nested too deep", "", 0)
    return value


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return chain(value, value.values())
    return value if isinstance(value, list) else ()
