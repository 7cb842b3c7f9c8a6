"""Ending at a provider what a coach had allowed, once its source is deleted."""

import asyncio

from fairslot.calendars import providers
from fairslot.calendars.credentials import decrypted, text_of
from fairslot.calendars.interface import CalendarError
from fairslot.messages.revocations import RevokeRequest


async def revoke(request: RevokeRequest, *, seconds: float) -> str | None:
    """Revoke the grant of a source that is gone; return the code of what went wrong, None: it is revoked.

    A grant that is not valid any more is revoked, as is one that a provider has no way to revoke. It is tried
    as often as any request to a provider: then the coach can end it in the account itself.
    """
    try:
        async with asyncio.timeout(seconds):
            members = await decrypted(request.credentials, request.source_id)
            await providers.oauth_of(request.provider).revoke(text_of(members, "refresh_token"))
    except CalendarError as error:
        return error.reason
    except TimeoutError:
        return "timeout"
    except providers.NotRegisteredError:
        return "not_registered"
    return None
