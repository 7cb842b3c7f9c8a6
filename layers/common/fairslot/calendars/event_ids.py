"""The identity of an event of ours at a provider: the id that we choose, and the text that names its key."""

import hashlib
import re
from base64 import b32hexencode
from datetime import UTC
from uuid import UUID

from fairslot.calendars.interface import Event, EventKey

# The name of the private property that holds the key's text, wherever a provider keeps properties.
PROPERTY = "fairslotEvent"
# And of the one that holds the digest of what we wrote last.
WRITTEN = "fairslotWritten"

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TEXT = re.compile(rf"({_UUID})\.({_UUID})\.([1-9][0-9]{{0,8}})", re.ASCII)


def event_id(key: EventKey) -> str:
    """Return the event's id: 52 characters, base32hex (RFC 4648, lower case, no padding) of a SHA-256.

    The same key always has the same id, so an insert that is repeated after a lost answer meets its event.
    Google Calendar allows 5 to 1,024 characters of this alphabet.
    """
    return b32hexencode(hashlib.sha256(key_text(key).encode()).digest()).decode().rstrip("=").lower()


def key_text(key: EventKey) -> str:
    """Return what the private property holds: appointment, source and generation."""
    return f"{key.appointment_id}.{key.source_id}.{key.generation}"


def digest_of(event: Event) -> str:
    """Return what tells one version of an event that we write from another: 32 characters of a SHA-256.

    It is written with the event. So a write that comes again is told from another, whatever the coach has
    changed since.
    """
    start, end = (moment.astimezone(UTC) for moment in (event.start, event.end))
    text = f"{start:%Y%m%dT%H%M%S}/{end:%Y%m%dT%H%M%S}/{event.title}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def key_of(text: object) -> EventKey | None:
    """Return the key that `key_text` wrote; None for anything else.

    The property alone proves nothing, as calendars copy it with an event: the id must be the key's too.
    """
    found = _TEXT.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    appointment_id, source_id, generation = found.groups()
    return EventKey(
        appointment_id=UUID(appointment_id), source_id=UUID(source_id), generation=int(generation)
    )
