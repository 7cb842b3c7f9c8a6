"""The interface of every kind of external calendar, and the error of reading or writing one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from fairslot.domain.slots import Window

# Why a calendar is not read again before somebody acts: it has to be connected again, or never works.
type Ended = Literal["disconnected", "unsupported"]

# Of what a server asks to wait. Anybody's may ask for years, and is to be seen again when it is mended.
LONGEST_WAIT_SECONDS = 86_400.0


class CalendarError(Exception):
    """The calendar could not be read or written; `reason` is a stable code.

    timeout, connection, http_503 (any status), invalid_url, blocked_address, too_many_redirects,
    invalid_body, too_large, too_complex, unknown_kind; and of those with credentials: unauthorized,
    access_revoked, forbidden, not_found, rate_limited, conflict, secret_unavailable, and other_domain for a
    server that names a host which may not get the password.

    `after` is how many seconds the provider asks to wait, a day at most. `ended`: the provider's clear word
    that trying again is of no use; a timeout or a 5xx never is.
    """

    def __init__(self, reason: str, *, after: float = 0.0, ended: Ended | None = None) -> None:
        """Take the code alone: the texts of causes can quote addresses and calendar entries."""
        super().__init__(reason)
        self.reason = reason
        self.after = min(after, LONGEST_WAIT_SECONDS)
        self.ended = ended


@dataclass(frozen=True, slots=True, kw_only=True)
class EventKey:
    """Which event of ours: an appointment's, in one source. A deleted event's successor is a generation on.

    The key is decided in the database before the first attempt, so an answer that is lost never makes a
    second event.
    """

    appointment_id: UUID
    source_id: UUID
    generation: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event to write: instants with a zone, and the text that the coach sees."""

    key: EventKey
    start: datetime
    end: datetime
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """An event of ours that was found in the calendar, and where it now is.

    `ref` is what the provider calls it: an id or an address. `version` is the provider's (an ETag).
    """

    key: EventKey
    ref: str
    start: datetime
    end: datetime
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Free:
    """What a calendar leaves free: the bits of a window, first slot highest, 1 where all of a slot is free.

    `unreadable` is how many events could not be read fully; the time that they may take is not free.
    `own` are the events of ours that were seen: they take no time here, as their appointments do. `tag`
    says whether anything has changed since, where the kind has one. `sees_own` is false where ours cannot be
    told from others, and are as busy as those.
    """

    bits: int
    unreadable: int = 0
    own: tuple[Sighting, ...] = ()
    tag: str | None = None
    sees_own: bool = True


class ExternalCalendar(Protocol):
    """A coach's calendar outside this system."""

    async def free(self, window: Window) -> Free:
        """Return what the calendar leaves free of the window.

        A calendar that cannot be read raises CalendarError; it never counts as free or empty.
        """


class ChangeSeen(Protocol):
    """A calendar that tells cheaply whether it has changed."""

    async def changed(self, tag: str) -> bool:
        """Return whether anything may have changed since a reading had this tag. Raises CalendarError."""


class WritableCalendar(Protocol):
    """A calendar that events can be written to. Both methods can be repeated, also after a lost answer."""

    async def put(self, event: Event) -> Sighting:
        """Create the event, or move the one of its key; return where it stands.

        Raises CalendarError; `conflict`: the coach deleted it, and the key's next generation would be needed.
        """

    async def remove(self, key: EventKey, ref: str | None) -> None:
        """Remove the event; one that is gone is removed. Without `ref` it is looked for by its key.

        Raises CalendarError.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A provider's promise to tell of a calendar's changes, until `expires_at`.

    `resource_id` is what Google needs beside the channel's id to stop it; others have none.
    """

    channel_id: str
    expires_at: datetime
    resource_id: str | None = None


class AccessToken(Protocol):
    """What authorizes requests to a provider, as `Authorization: Bearer`."""

    async def get(self, *, fresh: bool = False) -> str:
        """Return a token; with `fresh` a new one, as the last was refused. Raises CalendarError."""
