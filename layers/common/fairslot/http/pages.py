"""Pages of a list: how large one gets, and where the next begins."""

import base64
import json
from collections.abc import Callable, Sequence

from pydantic import BaseModel

from fairslot.domain.errors import MalformedRequestError

# An answer is 6 MB at most, written as a JSON string within JSON: what is all quotes is twice as long there.
LARGEST_PAGE = 1024 * 1024


def page[T: BaseModel](
    found: Sequence[T], limit: int, position: Callable[[T], Sequence[str]]
) -> tuple[list[T], str | None]:
    """Return the entries of a page, and the cursor of the next if there is more.

    That is `limit` entries and LARGEST_PAGE bytes at the most, and one entry at least. `found` has one entry
    more than `limit` where there is one; `position` is what an entry's cursor holds.
    """
    kept = [*fitting(found[:limit], lambda one: len(one.model_dump_json().encode()))]
    return kept, cursor(*position(kept[-1])) if len(kept) < len(found) else None


def fitting[T](entries: Sequence[T], size: Callable[[T], int]) -> Sequence[T]:
    """Return the first entries that make LARGEST_PAGE bytes at the most, but one at least."""
    left = LARGEST_PAGE
    for number, one in enumerate(entries):
        left -= size(one)
        if left < 0 and number:
            return entries[:number]
    return entries


def cursor(*parts: str) -> str:
    """Write the position after which the next page begins, for nobody but ourselves to read."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


def read_cursor[T](text: str | None, read: Callable[[list[str]], T]) -> T | None:
    """Read what cursor() wrote; MalformedRequestError when it is anything else."""
    if text is None:
        return None
    try:
        parts = json.loads(base64.urlsafe_b64decode(text))
        return read([part for part in parts if isinstance(part, str)])
    except (ValueError, TypeError, LookupError) as error:
        raise MalformedRequestError("Invalid cursor.", [("query.cursor", "invalid")]) from error
