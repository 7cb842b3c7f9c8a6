"""Reading JSON bodies, limited to what can be stored and returned."""

import json
from collections.abc import Iterable
from itertools import chain
from typing import Any

from fairslot.domain.errors import ValidationError
from fairslot.domain.json_written import WrittenFloat, WrittenInt

_MAX_DEPTH = 32


def read_object(text: str) -> Any:
    """Read a JSON object, or null, that Postgres can store; its numbers keep their spelling.

    Raises:
        JSONDecodeError: not JSON, or with NaN, infinity, NUL, a lone surrogate, or more than 32 levels.
        ValidationError: JSON that is not an object.

    """
    try:
        value = json.loads(text, parse_int=WrittenInt, parse_float=WrittenFloat)
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise json.JSONDecodeError("not JSON", "", 0) from error
    if value is not None and not isinstance(value, dict):
        # The resolver would take the first element of an array as the body.
        raise ValidationError("The body must be a JSON object.", [("body", "model_type")])
    level: list[Any] = [value]
    for _ in range(_MAX_DEPTH):
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
