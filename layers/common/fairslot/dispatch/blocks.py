"""Whose block a calendar partner has at a time: asked of its list, where it has one.

`GET /coaches/{id}/blocks?start_time=&end_time=` answers `{"blocks": [{"block_id", "start_time",
"end_time"}]}`. The list is optional in the partner's contract, and so is heeding the query. A process
remembers for a while that a partner has none.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any

import httpx

from fairslot.platform.http_client import ExchangeError, Reply, get

# A partner's id longer than this is none.
ID_CHARACTERS = 255
# How long a process takes a partner to have no list after it said so.
FORGET_SECONDS = 600.0
# What is said where there is no such thing.
_NO_LIST = frozenset({404, 405, 410, 501})


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """Where a partner lists a coach's blocks, and the instants, RFC 3339 text, of the one to look for."""

    partner: str
    url: str
    start_time: str
    end_time: str


class UnreadableError(Exception):
    """The list could not be read just now; `reply` is what was answered, if anything."""

    def __init__(self, reason: str, reply: Reply | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.reply = reply


@dataclass(slots=True)
class Memory:
    """Which partners have no list, and until when that is believed; instants are `clock`'s seconds."""

    clock: Callable[[], float] = monotonic
    _until: dict[str, float] = field(default_factory=dict)

    def has_no_list(self, partner: str) -> bool:
        """Tell whether a partner said so lately."""
        return self.clock() < self._until.get(partner, 0.0)

    def note(self, partner: str) -> None:
        """Note that a partner says so."""
        self._until[partner] = self.clock() + FORGET_SECONDS

    def forget(self) -> None:
        """Forget everything."""
        self._until.clear()


memory = Memory()


async def look(
    blocks: Blocks, *, seconds: float, transport: httpx.AsyncBaseTransport | None = None
) -> Mapping[str, str] | None:
    """Look for a block of that very time: `{"found_block_id": …}`, `{"absent": "true"}`, None without a list.

    Raises UnreadableError: the partner may have a list, and another try may read it.
    """
    if memory.has_no_list(blocks.partner):
        return None
    query = httpx.QueryParams(start_time=blocks.start_time, end_time=blocks.end_time)
    try:
        reply = await get(f"{blocks.url}?{query}", seconds=seconds, trusted=True, transport=transport)
    except ExchangeError as error:
        raise UnreadableError(error.reason) from None
    if reply.status_code in _NO_LIST:
        memory.note(blocks.partner)
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
    """Return what is listed; None where it is no such list, or was cut off and proves nothing."""
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
