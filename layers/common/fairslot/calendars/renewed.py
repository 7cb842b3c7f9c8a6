"""Credentials that a provider has renewed while a calendar was read: locked up again, to be stored inside."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

from fairslot.calendars import access_tokens
from fairslot.calendars.credentials import decrypted
from fairslot.calendars.interface import CalendarError
from fairslot.domain.errors import UnavailableError
from fairslot.messages.fetches import FetchRequest
from fairslot.platform import signing_secrets

# A refresh token of Microsoft is good for 90 days, and stays so when it was used. Stored at each use, what
# one process was given would have all others ask for more.
_PAUSE = timedelta(days=1)


async def renewed(request: FetchRequest) -> str | None:
    """Return the ciphertext to store in the place of a source's credentials, None: they stay.

    That is once a day at most. Where KMS does not answer they stay, and the next reading tries again.
    """
    if not request.credentials or request.source_id is None:
        return None
    try:
        members = await decrypted(request.credentials, request.source_id)
    except CalendarError:
        return None
    now, used = datetime.now(UTC), members.get("refresh_token")
    token = access_tokens.replaced(request.source_id, used) if isinstance(used, str) else None
    if token is None or _is_young(members.get("renewed_at"), now):
        return None
    text = json.dumps({**members, "refresh_token": token, "renewed_at": now.isoformat()})
    context = signing_secrets.for_calendar(request.source_id)
    try:
        return await asyncio.to_thread(signing_secrets.encrypt, text, context)
    except UnavailableError:
        return None


def _is_young(renewed_at: object, now: datetime) -> bool:
    return isinstance(renewed_at, str) and now - datetime.fromisoformat(renewed_at) < _PAUSE
