"""Look up the block that a calendar partner has at a time, in its list of blocks.

`GET /coaches/{id}/blocks?start_time=&end_time=` answers `{"blocks": [{"block_id", "start_time",
"end_time"}]}`. The list is optional in the partner's contract, and so is filtering by the query. A process
caches for a while that a partner has none.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any

import httpx

from fairslot.platform.http_client import Reply, RequestFailedError, get

# A longer id of a partner is invalid.
ID_CHARACTERS = 255
# How long a process assumes that a partner has no list after it answered so.
NO_LIST_SECONDS = 600.0
# The status codes of partners without a list.
_NO_LIST = frozenset({404, 405, 410, 501})


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """Where a partner lists a coach's blocks, and the times, RFC 3339 text, of the one to look up."""

    partner: str
    url: str
    start_time: str
    end_time: str


class UnreadableError(Exception):
    """The list could not be read now; `reply` is the response, if there was one."""

    def __init__(self, reason: str, reply: Reply | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.reply = reply


@dataclass(slots=True)
class NoListCache:
    """Which partners have no list, and until when that is assumed; instants are seconds of `clock`."""

    clock: Callable[[], float] = monotonic
    _until: dict[str, float] = field(default_factory=dict)

    def __contains__(self, partner: str) -> bool:
        """Tell whether a partner had no list lately."""
        return self.clock() < self._until.get(partner, 0.0)

    def add(self, partner: str) -> None:
        """Note that a partner has no list."""
        self._until[partner] = self.clock() + NO_LIST_SECONDS

    def clear(self) -> None:
        """Forget all partners."""
        self._until.clear()


without_list = NoListCache()


async def look_up(
    blocks: Blocks, *, seconds: float, transport: httpx.AsyncBaseTransport | None = None
) -> Mapping[str, str] | None:
    """Look up a block at exactly that time: `{"found_block_id": …}`, `{"absent": "true"}`, None: no list.

    Raises UnreadableError: the partner may have a list, and a retry may read it.
    """
    if blocks.partner in without_list:
        return None
    query = httpx.QueryParams(start_time=blocks.start_time, end_time=blocks.end_time)
    try:
        reply = await get(f"{blocks.url}?{query}", seconds=seconds, trusted=True, transport=transport)
    except RequestFailedError as error:
        raise UnreadableError(error.reason) from None
    if reply.status_code in _NO_LIST:
        without_list.add(blocks.partner)
        return None
    if httpx.codes.is_server_error(reply.status_code) or reply.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise UnreadableError(f"http_{reply.status_code}", reply)
    listed = _listed(reply)
    if listed is None:
        return None
    wanted = (_instant(blocks.start_time), _instant(blocks.end_time))
    for one in listed:
        if (
            isinstance(one, dict)
            and (_instant(one.get("start_time")), _instant(one.get("end_time"))) == wanted
        ):
            return _found(one.get("block_id"))
    return {"absent": "true"}


def _listed(reply: Reply) -> list[Any] | None:
    """Return the listed blocks; None where the body is no such list, or is cut off and proves nothing."""
    if not (reply.whole and httpx.codes.is_success(reply.status_code)):
        return None
    try:
        answer = json.loads(reply.content)
    except (ValueError, RecursionError):
        return None
    listed = answer.get("blocks") if isinstance(answer, dict) else None
    return listed if isinstance(listed, list) else None


def _found(block_id: object) -> Mapping[str, str] | None:
    is_id = isinstance(block_id, str) and 0 < len(block_id) <= ID_CHARACTERS and block_id.isprintable()
    return {"found_block_id": str(block_id)} if is_id else None


def _instant(text: object) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return instant if instant and instant.tzinfo else None
