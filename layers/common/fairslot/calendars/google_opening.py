"""From what is stored of a source at Google to its calendar and channels: by consent, or by delegation."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fairslot.calendars.access_tokens import SourceToken
from fairslot.calendars.credentials import decrypted, text_of
from fairslot.calendars.google import BASE_URL, PRIMARY, Google
from fairslot.calendars.google_channels import GoogleChannels
from fairslot.calendars.interface import CalendarError
from fairslot.calendars.oauth import GOOGLE_CALENDAR, GOOGLE_EVENTS, GOOGLE_FREE_BUSY, Grant
from fairslot.calendars.providers import NotRegisteredError, oauth_of, provider_of
from fairslot.calendars.push_secret import PushSecrets
from fairslot.calendars.service_account import ServiceAccount
from fairslot.platform.settings import settings

# Only the operator can mend what the deployment lacks.
_OPERATOR_SECONDS = 3_600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleAccess:
    """A source's access to one calendar at Google; `free_busy_only`: the scopes allow no events."""

    source_id: UUID
    token: SourceToken
    calendar_id: str
    free_busy_only: bool = False

    @property
    def calendar(self) -> Google:
        """The calendar, to read it and to write to it."""
        return Google(
            token=self.token,
            source_id=self.source_id,
            calendar_id=self.calendar_id,
            free_busy_only=self.free_busy_only,
            base_url=settings().google_api_url or BASE_URL,
        )

    def channels(self, secrets: PushSecrets) -> GoogleChannels:
        """Return what makes the calendar's channels."""
        return GoogleChannels(
            token=self.token,
            secrets=secrets,
            calendar_id=self.calendar_id,
            base_url=settings().google_api_url or BASE_URL,
        )


async def open_google(*, calendar_ref: str | None, credentials: str | None, source_id: UUID) -> GoogleAccess:
    """Return a source's access. Raises CalendarError.

    `credentials` are ciphertext of {"refresh_token", "scopes"}, as a coach's consent gives them, or of
    {"service_account": the key that Google gives, "subject"?}. A source without any is read by the
    deployment's service account where there is one. Whom a service account acts for is the subject, or
    `calendar_ref`, which is then an address; else that is the calendar, and the account's primary one where
    it is None.
    """
    if not credentials and settings().google_service_account:
        return _delegated(settings().google_service_account, calendar_ref, calendar_ref, source_id)
    members = await decrypted(credentials, source_id)
    if "service_account" in members:
        subject = members.get("subject") or calendar_ref
        return _delegated(json.dumps(members["service_account"]), subject, calendar_ref, source_id)
    return _consented(members, calendar_ref, source_id)


def _consented(members: Mapping[str, Any], calendar_ref: str | None, source_id: UUID) -> GoogleAccess:
    try:
        oauth = oauth_of("google")
    except NotRegisteredError:
        raise CalendarError("unauthorized", after=_OPERATOR_SECONDS) from None
    refresh_token = text_of(members, "refresh_token")
    token = SourceToken(source_id=source_id, refresh_token=refresh_token, refresh=oauth.refresh)
    return GoogleAccess(
        source_id=source_id,
        token=token,
        calendar_id=calendar_ref or PRIMARY,
        free_busy_only=_is_free_busy_only(members.get("scopes")),
    )


def _delegated(key: str, subject: object, calendar_ref: str | None, source_id: UUID) -> GoogleAccess:
    if not isinstance(subject, str) or "@" not in subject:
        raise CalendarError("not_found", ended="unsupported")
    try:
        account = ServiceAccount.from_json(key)
    except ValueError:
        raise CalendarError("unauthorized", after=_OPERATOR_SECONDS) from None

    async def refresh(_: str) -> Grant:
        return await account.token_for(subject, GOOGLE_EVENTS, token_url=provider_of("google").token_url)

    # The same key for another person is another token.
    token = SourceToken(source_id=source_id, refresh_token=f"{subject} {key}", refresh=refresh)
    return GoogleAccess(source_id=source_id, token=token, calendar_id=calendar_ref or PRIMARY)


def _is_free_busy_only(scopes: object) -> bool:
    """Tell whether the scopes that were granted allow to ask for busy periods, and no more."""
    granted = frozenset(scopes) if isinstance(scopes, list | str) else frozenset()
    return bool(granted & GOOGLE_FREE_BUSY) and not granted & (GOOGLE_EVENTS | {GOOGLE_CALENDAR})
