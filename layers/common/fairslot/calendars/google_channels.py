"""Google's channels, by which it tells that a calendar has changed.

https://developers.google.com/workspace/calendar/api/guides/push
"""

from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import quote
from uuid import uuid4

import httpx

from fairslot.calendars.fetch import Limits
from fairslot.calendars.google import BASE_URL, PRIMARY
from fairslot.calendars.google_refusals import refusal
from fairslot.calendars.interface import AccessToken, CalendarError, Watch
from fairslot.calendars.provider_api import Answer, ProviderApi
from fairslot.calendars.push_secret import Channel, PushSecrets

# A channel lives no longer than a week.
_SECONDS = 604_800


class GoogleChannels:
    """The channels of one calendar at Google. There is no renewal: a new one takes the old one's place."""

    def __init__(
        self,
        *,
        token: AccessToken,
        secrets: PushSecrets,
        calendar_id: str = PRIMARY,
        base_url: str = BASE_URL,
        limits: Limits | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Take the source's token, what proves notifications, and the calendar."""
        self._api = ProviderApi(
            base_url=base_url, token=token, refusal=_refusal, limits=limits, transport=transport
        )
        self._secrets = secrets
        self._events = f"calendars/{quote(calendar_id, safe='')}/events"

    async def watch(self, channel: Channel, *, address: str, old: Watch | None = None) -> Watch:
        """Make a channel that posts to `address`, then stop the old one. Raises CalendarError.

        Its id is new each time, as Google refuses one twice. So a lost answer leaves a channel that nobody
        stops; it ends within a week, and till then its notifications are proven as those of its generation.
        The old one is left to end like that where it cannot be stopped.
        """
        body = {
            "id": str(uuid4()),
            "type": "web_hook",
            "address": address,
            "token": self._secrets.make(channel),
            "params": {"ttl": str(_SECONDS)},
        }
        answer = await self._api.request("POST", f"{self._events}/watch", body=body)
        made = _watch(answer)
        if old is not None:
            with suppress(CalendarError):
                await self.stop(old)
        return made

    async def stop(self, watch: Watch) -> None:
        """Stop a channel; one that has ended is stopped. Raises CalendarError."""
        body = {"id": watch.channel_id, "resourceId": watch.resource_id or ""}
        await self._api.request("POST", "channels/stop", body=body, allowed={HTTPStatus.NOT_FOUND})


def _watch(answer: Answer) -> Watch:
    """Return what was made: its end is in milliseconds since 1970, written as text."""
    body = answer.body
    channel_id, resource_id = body.get("id"), body.get("resourceId")
    if not isinstance(channel_id, str) or not isinstance(resource_id, str):
        raise CalendarError("invalid_body")
    try:
        expires_at = datetime.fromtimestamp(int(body["expiration"]) / 1000, UTC)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        raise CalendarError("invalid_body") from None
    return Watch(channel_id=channel_id, resource_id=resource_id, expires_at=expires_at)


def _refusal(answer: Answer) -> CalendarError:
    """Return the error of a refused request, which ends no source: the next reading says what is wrong."""
    error = refusal(answer)
    return CalendarError(error.reason, after=error.after)
