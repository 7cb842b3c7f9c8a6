"""Subscriptions at Microsoft Graph, by which it tells that a calendar has changed.

https://learn.microsoft.com/en-us/graph/change-notifications-delivery-webhooks
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from urllib.parse import quote

import httpx

from fairslot.calendars.fetch import Limits, default_limits
from fairslot.calendars.interface import AccessToken, CalendarError, Watch
from fairslot.calendars.microsoft import BASE_URL
from fairslot.calendars.provider_api import Answer, Body, ProviderApi
from fairslot.calendars.push_secret import Channel, PushSecrets

# The documents say 10,080 minutes for events, older ones 4,230; Graph refuses more than it allows.
LONGEST = timedelta(minutes=10_080)
FORMERLY_LONGEST = timedelta(minutes=4_230)
# By how much a clock may differ from Graph's.
_SPARE = timedelta(minutes=5)
# Graph answers after it has asked the address to prove itself, which may take ten seconds.
_ANSWER_SECONDS = 15.0

_GONE = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}


class MicrosoftSubscriptions:
    """The subscriptions to one calendar, each of which can be renewed."""

    def __init__(
        self,
        *,
        token: AccessToken,
        secrets: PushSecrets,
        mailbox: str | None = None,
        calendar_id: str | None = None,
        base_url: str = BASE_URL,
        limits: Limits | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the source's token, what proves notifications, and the calendar: see MicrosoftCalendar."""
        usual = limits or default_limits()
        patient = replace(usual, answer_seconds=max(usual.answer_seconds, _ANSWER_SECONDS))
        self._api = ProviderApi(base_url=base_url, token=token, limits=patient, transport=transport)
        self._secrets = secrets
        self._resource = _resource(mailbox, calendar_id)
        self._clock = clock

    async def watch(
        self,
        channel: Channel,
        *,
        address: str,
        lifecycle_address: str | None = None,
        old: Watch | None = None,
    ) -> Watch:
        """Make a subscription that posts to `address`, then delete the old one. Raises CalendarError.

        Graph asks the address first to send a token back. What it tells of the subscription itself goes to
        `lifecycle_address`, which is `address` unless it is given; it cannot be changed later. A lost answer
        leaves a subscription that nobody deletes; it ends within a week, and till then its notifications are
        proven as those of its generation. The old one is left to end like that where it cannot be deleted.
        """
        body = {
            "changeType": "created,updated,deleted",
            "notificationUrl": address,
            "lifecycleNotificationUrl": lifecycle_address or address,
            "resource": self._resource,
            "clientState": self._secrets.make(channel),
        }
        made = _watch(await self._lasting("POST", "subscriptions", body))
        if old is not None:
            with suppress(CalendarError):
                await self.stop(old)
        return made

    async def renew(self, watch: Watch) -> Watch | None:
        """Renew a subscription, also one that has to be authorized again; None if it is gone.

        Raises CalendarError.
        """
        path = f"subscriptions/{quote(watch.channel_id, safe='')}"
        answer = await self._lasting("PATCH", path, {})
        return None if answer.status in _GONE else _watch(answer)

    async def stop(self, watch: Watch) -> None:
        """Delete a subscription; one that is gone is deleted. Raises CalendarError."""
        path = f"subscriptions/{quote(watch.channel_id, safe='')}"
        await self._api.request("DELETE", path, allowed=_GONE)

    async def _lasting(self, method: str, path: str, body: Body) -> Answer:
        """Ask for the longest time; where the request is refused, once more for what was the longest."""
        allowed = _GONE if method == "PATCH" else set()
        answer = await self._api.request(
            method, path, body=self._until(LONGEST, body), allowed={*allowed, HTTPStatus.BAD_REQUEST}
        )
        if answer.status != HTTPStatus.BAD_REQUEST:
            return answer
        return await self._api.request(
            method, path, body=self._until(FORMERLY_LONGEST, body), allowed=allowed
        )

    def _until(self, longest: timedelta, body: Body) -> Body:
        return {**body, "expirationDateTime": f"{self._clock() + longest - _SPARE:%Y-%m-%dT%H:%M:%SZ}"}


def _resource(mailbox: str | None, calendar_id: str | None) -> str:
    """Return what is watched: no address, but written like the path of one.

    Without a calendar it is all events of the mailbox: of the default one alone Graph documents none.
    """
    owner = f"users/{quote(mailbox, safe='@')}" if mailbox else "me"
    return f"{owner}/calendars/{quote(calendar_id, safe='=')}/events" if calendar_id else f"{owner}/events"


def _watch(answer: Answer) -> Watch:
    """Return what was made, and until when: Graph may grant less than it was asked for."""
    channel_id, until = answer.body.get("id"), answer.body.get("expirationDateTime")
    if not isinstance(channel_id, str) or not channel_id or not isinstance(until, str):
        raise CalendarError("invalid_body")
    try:
        expires_at = datetime.fromisoformat(until)
    except ValueError:
        raise CalendarError("invalid_body") from None
    if expires_at.tzinfo is None:
        raise CalendarError("invalid_body")
    return Watch(channel_id=channel_id, expires_at=expires_at.astimezone(UTC))
