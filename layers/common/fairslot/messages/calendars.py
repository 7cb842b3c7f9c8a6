"""What travels over FetchesQueue (one coach a message) and FetchedQueue (one reading a message)."""

import json
from dataclasses import asdict, dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fairslot.domain.slots import Window, hex_of

LONGEST_WINDOW = 40_000  # slots; a year of the longest days has 38,064


class MessageError(ValueError):
    """The message does not have the agreed shape."""

    def __init__(self) -> None:
        """Say no more than that: an address can hold a secret, which is not for the logs."""
        super().__init__(type(self).__doc__)


class Request(BaseModel):
    """Whose calendar is to be read, of what kind, and which slots are wanted."""

    model_config = ConfigDict(frozen=True)

    coach_id: str = Field(min_length=1)
    kind: str
    url: str | None = None
    time_zone: str
    first_slot: int
    slot_count: int = Field(ge=1, le=LONGEST_WINDOW)
    requested_at: str

    @staticmethod
    def from_json(body: str) -> "Request":
        """Read a message's body; members that are not known are passed over. Raises MessageError."""
        try:
            request = Request.model_validate_json(body)
            ZoneInfo(request.time_zone)
        except (ValidationError, ValueError, ZoneInfoNotFoundError):
            raise MessageError from None
        return request

    @property
    def zone(self) -> ZoneInfo:
        """The coach's time zone."""
        return ZoneInfo(self.time_zone)

    @property
    def window(self) -> Window:
        """The slots that are wanted."""
        return Window(self.first_slot, self.slot_count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What came of reading one calendar: the free slots, or the reason why there are none.

    `fetched_at` is the instant at which reading began, so that of two readings the later one is known;
    `unreadable` is how many events could not be read wholly and count as busy.
    """

    request: Request
    fetched_at: str
    free: int | None = None
    unreadable: int = 0
    error: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the calendar could be read."""
        return self.free is not None

    def to_json(self) -> str:
        """Write the message's body."""
        asked = self.request
        body: dict[str, object] = {
            "coach_id": asked.coach_id,
            "requested_at": asked.requested_at,
            "fetched_at": self.fetched_at,
            "ok": self.ok,
        }
        if self.free is None:
            body["error"] = self.error
        else:
            body |= asdict(asked.window) | {"free": hex_of(self.free, asked.slot_count)}
            if self.unreadable:
                body["unreadable"] = self.unreadable
        return json.dumps(body, separators=(",", ":"))
