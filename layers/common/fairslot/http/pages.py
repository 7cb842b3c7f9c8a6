"""Pages of a list: their largest size, and the cursor of the next."""

import base64
import json
from collections.abc import Callable, Sequence

from pydantic import BaseModel

from fairslot.domain.errors import MalformedRequestError

# Lambda's answers are 6 MB at most, with the body as a JSON string: text of quotes only doubles there.
LARGEST_PAGE = 1024 * 1024


def page[T: BaseModel](
    found: Sequence[T], limit: int, position: Callable[[T], Sequence[str]]
) -> tuple[list[T], str | None]:
    """Return the entries of a page, and the cursor of the next page if there is one.

    A page has at most `limit` entries and LARGEST_PAGE bytes, and at least one entry. `found` has one entry
    more than `limit` if there are more; `position` returns what an entry's cursor contains.
    """
    entries = [*fitting(found[:limit], lambda one: len(one.model_dump_json().encode()))]
    return entries, cursor(*position(entries[-1])) if len(entries) < len(found) else None


def fitting[T](entries: Sequence[T], size: Callable[[T], int]) -> Sequence[T]:
    """Return the first entries: at most LARGEST_PAGE bytes of them, and at least one."""
    left = LARGEST_PAGE
    for number, one in enumerate(entries):
        left -= size(one)
        if left < 0 and number:
            return entries[:number]
    return entries


def cursor(*parts: str) -> str:
    """Return the position after which the next page begins, opaque to clients."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


def read_cursor[T](text: str | None, read: Callable[[list[str]], T]) -> T | None:
    """Return what cursor() was given; MalformedRequestError if the text is not from it."""
    if text is None:
        return None
    try:
        parts = json.loads(base64.urlsafe_b64decode(text))
        return read([part for part in parts if isinstance(part, str)])
    except (ValueError, TypeError, LookupError) as error:
        raise MalformedRequestError(
            "Invalid cursor; use the next_cursor of the page before, unchanged.",
            [("query.cursor", "invalid")],
        ) from error
