"""FetchesQueue: one calendar to read per message, written by the sync, read by the calendar reader.

An issuer's public keys, and channels, are asked for on the same queue: see issuer_keys.py and watches.py.
"""

import json
from collections.abc import Callable
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field

from fairslot.domain.slots import Window
from fairslot.messages import contract
from fairslot.messages.contract import MessageError
from fairslot.messages.issuer_keys import KeysRequest
from fairslot.messages.revocations import RevokeRequest
from fairslot.messages.watches import WatchRequest

LONGEST_WINDOW = 40_000  # slots; a year of the longest days has 38,064


class FetchRequest(BaseModel):
    """A request to read the `slot_count` slots from `first_slot` of one coach's calendar.

    `source_id` and its `generation` say which of the coach's calendars; without them it is the only one, as
    messages of 0.1.0 are. `credentials` are ciphertext, for the context {purpose: calendar, source_id}.

    `requested_at`, RFC 3339 text, is when to read it at the earliest; `delay_seconds` is how far ahead that
    was when the request was made. The queue keeps the delay, so it is not part of the message.
    """

    model_config = ConfigDict(frozen=True)

    coach_id: str = Field(min_length=1)
    kind: str
    url: str | None = None
    time_zone: str
    first_slot: int
    slot_count: Annotated[int, Field(ge=1, le=LONGEST_WINDOW)]
    requested_at: str
    source_id: UUID | None = None
    generation: int | None = None
    calendar_ref: str | None = None
    credentials: str | None = None
    delay_seconds: int = Field(default=0, exclude=True)

    @staticmethod
    def from_json(body: str) -> "FetchRequest":
        """Read a message's body. Raises MessageError."""
        request = contract.read(FetchRequest, body)
        try:
            ZoneInfo(request.time_zone)
        except (ValueError, ZoneInfoNotFoundError):
            raise MessageError from None
        return request

    def to_json(self) -> str:
        """Write the message's body; what 0.1.0 does not know of is there if it says something."""
        members = self.model_dump(mode="json", exclude_none=True)
        return contract.to_json({**members, "url": self.url})

    @property
    def zone(self) -> ZoneInfo:
        """The coach's time zone."""
        return ZoneInfo(self.time_zone)

    @property
    def window(self) -> Window:
        """The slots to read."""
        return Window(self.first_slot, self.slot_count)


_OTHERS: dict[str, Callable[[str], KeysRequest | RevokeRequest | WatchRequest]] = {
    "issuer_keys": KeysRequest.from_json,
    "revoke": RevokeRequest.from_json,
    "watch": WatchRequest.from_json,
}


def read(body: str) -> FetchRequest | KeysRequest | RevokeRequest | WatchRequest:
    """Read a message of the queue. Raises MessageError."""
    # By its kind: what would be tried is built, which is milliseconds of a cold start.
    return _OTHERS.get(_kind(body), FetchRequest.from_json)(body)


def _kind(body: str) -> str:
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    kind = members.get("kind") if isinstance(members, dict) else None
    return kind if isinstance(kind, str) else ""
