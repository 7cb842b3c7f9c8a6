"""FetchedQueue: one reading of a calendar per message, written by the calendar reader, stored by the sync.

An issuer's public keys, and channels, come on the same queue: see issuer_keys.py and watches.py.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from fairslot.domain.slots import Window, bits_of_hex, hex_of
from fairslot.messages import contract
from fairslot.messages.contract import MessageError
from fairslot.messages.fetches import LONGEST_WINDOW, FetchRequest
from fairslot.messages.issuer_keys import KeysReading
from fairslot.messages.watches import WatchAnswer

LONGEST_TAG = 1_000
# More would not fit into a message with everything else.
MOST_OWN = 1_000
type Ended = Literal["disconnected", "unsupported"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnEvent:
    """An event of ours that was seen: an appointment's, of which generation, and where it is."""

    appointment_id: UUID
    generation: int
    start: AwareDatetime
    end: AwareDatetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeSlots:
    """The free slots of a window, a bit each, first slot highest.

    `unreadable` is how many events could not be read wholly; they count as busy. `tag` is the provider's name
    for what was read. `own` are the events of ours that were seen in it, which are no busy time; unless
    `own_is_whole`, there may be others.
    """

    window: Window
    bits: int
    unreadable: int = 0
    tag: str | None = None
    own: tuple[OwnEvent, ...] = ()
    own_is_whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The result of reading one calendar: the free slots, or None and the `error`.

    `fetched_at` is when the reading began, which orders the readings of a calendar. After a failure `after`
    is how many seconds the provider asks to wait; `ended` is its word that trying again is of no use.
    `source_id` and `generation` are those of the request; a request of 0.1.0 has none. `credentials` are what
    the provider has replaced the source's by: ciphertext, as in the request.
    """

    coach_id: str
    requested_at: str
    fetched_at: AwareDatetime
    source_id: UUID | None = None
    generation: int | None = None
    free: FreeSlots | None = None
    error: str | None = None
    after: float = 0.0
    ended: Ended | None = None
    credentials: str | None = field(default=None, repr=False)

    @staticmethod
    def of(
        request: FetchRequest,
        *,
        fetched_at: AwareDatetime,
        free: FreeSlots | None = None,
        error: str | None = None,
        after: float = 0.0,
        ended: Ended | None = None,
    ) -> "Reading":
        """Make the answer to a request."""
        return Reading(
            coach_id=request.coach_id,
            requested_at=request.requested_at,
            fetched_at=fetched_at,
            source_id=request.source_id,
            generation=request.generation,
            free=free,
            error=error,
            after=after,
            ended=ended,
        )

    @staticmethod
    def from_json(body: str) -> "Reading":
        """Read a message's body. Raises MessageError."""
        wire = contract.read(_Wire, body)
        return Reading(
            coach_id=wire.coach_id,
            requested_at=wire.requested_at,
            fetched_at=wire.fetched_at,
            source_id=wire.source_id,
            generation=wire.generation,
            free=_free(wire) if wire.ok else None,
            error=None if wire.ok else wire.error,
            after=0.0 if wire.ok else wire.after or 0.0,
            ended=None if wire.ok else wire.ended,
            credentials=wire.credentials,
        )

    def to_json(self) -> str:
        """Write the message's body, without the members that have nothing to say."""
        wire = _Wire(
            coach_id=self.coach_id,
            requested_at=self.requested_at,
            fetched_at=self.fetched_at,
            source_id=self.source_id,
            generation=self.generation,
            ok=self.free is not None,
            error=self.error,
            after=self.after or None,
            ended=self.ended,
            credentials=self.credentials,
        )
        if self.free is not None:
            window = self.free.window
            wire.first_slot, wire.slot_count = window.first_slot, window.slot_count
            wire.free = hex_of(self.free.bits, window.slot_count)
            wire.unreadable = self.free.unreadable or None
            wire.tag = self.free.tag
            wire.own = self.free.own or None
            wire.own_is_whole = self.free.own_is_whole or None
        return contract.to_json(wire.model_dump(mode="json", exclude_none=True))


def read(body: str) -> Reading | KeysReading | WatchAnswer:
    """Read a message of the queue. Raises MessageError."""
    for read_as in (KeysReading.from_json, WatchAnswer.from_json):
        with suppress(MessageError):
            return read_as(body)
    return Reading.from_json(body)


class _Wire(BaseModel):
    """The message's members; `free` is hex as of `hex_of`."""

    coach_id: Annotated[str, Field(min_length=1)]
    requested_at: str
    fetched_at: AwareDatetime
    source_id: UUID | None = None
    generation: int | None = None
    ok: bool
    error: str | None = None
    after: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    ended: Ended | None = None
    tag: Annotated[str, Field(max_length=LONGEST_TAG)] | None = None
    first_slot: int | None = None
    slot_count: Annotated[int, Field(ge=1, le=LONGEST_WINDOW)] | None = None
    free: str | None = None
    unreadable: Annotated[int, Field(ge=0)] | None = None
    own: Annotated[tuple[OwnEvent, ...], Field(max_length=MOST_OWN)] | None = None
    own_is_whole: bool | None = None
    credentials: str | None = None


def _free(wire: _Wire) -> FreeSlots:
    if wire.first_slot is None or wire.slot_count is None or wire.free is None:
        raise MessageError
    window = Window(wire.first_slot, wire.slot_count)
    try:
        bits = bits_of_hex(wire.free, window.slot_count)
    except ValueError:
        raise MessageError from None
    return FreeSlots(
        window=window,
        bits=bits,
        unreadable=wire.unreadable or 0,
        tag=wire.tag,
        own=wire.own or (),
        own_is_whole=wire.own_is_whole or False,
    )
