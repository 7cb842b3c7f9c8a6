"""Channels by which a provider tells of changes: the request to make, renew or stop one, and the answer.

They travel over FetchesQueue and FetchedQueue, beside the calendars: see fetches.py and readings.py.
"""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from fairslot.messages import contract

# renew and stop are of the channel that is named.
type Action = Literal["watch", "renew", "stop"]
type Name = Annotated[str, Field(min_length=1, max_length=1_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchRequest:
    """A request about the channel of a source, which is a calendar at a provider.

    `calendar_kind`, `calendar_ref` and `credentials` are the source's, as in FetchRequest. `address` is where
    the deployment takes notifications: for `watch` alone. `generation` is the channel's.
    """

    kind: Literal["watch"] = "watch"
    action: Action
    source_id: UUID
    generation: int
    calendar_kind: str
    address: str = ""
    calendar_ref: str | None = None
    credentials: str | None = field(default=None, repr=False)
    channel_id: Name | None = None
    resource_id: Name | None = None
    expires_at: AwareDatetime | None = None
    delay_seconds: ClassVar[int] = 0

    @staticmethod
    def from_json(body: str) -> "WatchRequest":
        """Read a message's body. Raises MessageError."""
        return contract.read(WatchRequest, body)

    def to_json(self) -> str:
        """Write the message's body."""
        return contract.write(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchAnswer:
    """What became of a request: the channel as it is now, or the `error`.

    Of what was stopped, and after a failure, the channel is the request's, without `expires_at`. `after` is
    how many seconds the provider asks to wait; with `gone` there is no such channel.
    """

    kind: Literal["watch"] = "watch"
    action: Action
    source_id: UUID
    generation: int
    channel_id: Name | None = None
    resource_id: Name | None = None
    expires_at: AwareDatetime | None = None
    error: str | None = None
    after: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    gone: bool = False

    @staticmethod
    def from_json(body: str) -> "WatchAnswer":
        """Read a message's body. Raises MessageError."""
        return contract.read(WatchAnswer, body)

    def to_json(self) -> str:
        """Write the message's body."""
        return contract.write(self)
