"""Notifications of providers: verified, bounded, and read as what is to be done about a source.

Nothing of a notification is believed but its secret: it says that something changed, and the calendar is read
again. So one that comes twice, late or replayed costs at most a reading.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fairslot.calendars.push_secret import Channel, PushSecrets

# Graph sends many notifications in one request, of half a kilobyte each.
BODY_BYTES = 262_144
LONGEST_VALIDATION = 2_048

# changed: read the calendar. renew: the channel ends unless it is renewed now. removed: the channel is gone,
# so make a new one, and read what was missed.
type Task = Literal["changed", "renew", "removed"]
type Why = Literal["forged", "invalid", "too_large"]

_LIFECYCLE: Mapping[str, Task] = {"reauthorizationRequired": "renew", "subscriptionRemoved": "removed"}
_CHANNEL_TOKEN = "x-goog-channel-token"  # noqa: S105  # the header's name
_RESOURCE_STATE = "x-goog-resource-state"


class PushError(Exception):
    """The notification is refused as a whole: it is forged, invalid or too_large."""

    def __init__(self, reason: Why) -> None:
        """Keep the code only."""
        super().__init__(reason)
        self.reason: Why = reason


@dataclass(frozen=True, slots=True)
class Notice:
    """What is to be done about a channel's source."""

    channel: Channel
    task: Task


class _Notification(BaseModel):
    model_config = ConfigDict(strict=True)

    client_state: str = Field("", alias="clientState")
    lifecycle_event: str | None = Field(None, alias="lifecycleEvent")


class _Notifications(BaseModel):
    model_config = ConfigDict(strict=True)

    value: list[_Notification] = Field(min_length=1)


def google_notices(headers: Mapping[str, str], secrets: PushSecrets) -> tuple[Notice, ...]:
    """Read a notification of Google, which is in its headers alone. Raises PushError.

    The first of a channel, `sync`, says that it works, and asks for nothing.
    https://developers.google.com/workspace/calendar/api/guides/push
    """
    known = {name.lower(): value for name, value in headers.items()}
    channel = secrets.channel("google", known.get(_CHANNEL_TOKEN))
    if channel is None:
        raise PushError("forged")
    state = known.get(_RESOURCE_STATE)
    if state is None:
        raise PushError("invalid")
    return () if state == "sync" else (Notice(channel, "changed"),)


def microsoft_notices(body: bytes, secrets: PushSecrets) -> tuple[Notice, ...]:
    """Read a request of Microsoft Graph, which may tell of many subscriptions. Raises PushError.

    One without a secret of ours makes all of it forged, and the others are not looked at. What a lifecycle
    event of an unknown kind means is not known, so the calendar is read.
    https://learn.microsoft.com/en-us/graph/change-notifications-lifecycle-events
    """
    if len(body) > BODY_BYTES:
        raise PushError("too_large")
    try:
        told = _Notifications.model_validate_json(body).value
    except ValidationError:
        raise PushError("invalid") from None
    return tuple(dict.fromkeys(_notices(told, secrets)))


def _notices(told: list[_Notification], secrets: PushSecrets) -> Iterator[Notice]:
    channels: dict[str, Channel] = {}
    for one in told:
        channel = channels.get(one.client_state) or secrets.channel("microsoft", one.client_state)
        if channel is None:
            raise PushError("forged")
        channels[one.client_state] = channel
        yield Notice(channel, _LIFECYCLE.get(one.lifecycle_event or "", "changed"))


def validation_answer(query: Mapping[str, str]) -> str | None:
    """Return what a validation request of Microsoft Graph is answered with, as text/plain; None for others.

    `query` is decoded. Anybody can send one and gets it back, so what a browser could take for a page is
    refused: Graph never sends that. Raises PushError.
    """
    token = query.get("validationToken")
    if token is None:
        return None
    if len(token) > LONGEST_VALIDATION:
        raise PushError("too_large")
    if not token.isprintable() or not token or set("<>") & set(token):
        raise PushError("invalid")
    return token
