"""The credentials of a source: decrypted here, outside the VPC, and only while they are used."""

import asyncio
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any
from uuid import UUID

from fairslot.calendars.interface import CalendarError
from fairslot.domain.errors import UnavailableError
from fairslot.platform import signing_secrets


async def decrypted(ciphertext: str | None, source_id: UUID) -> Mapping[str, Any]:
    """Return the members of a source's credentials.

    Raises CalendarError: `secret_unavailable` while KMS does not answer; `unauthorized` where there are none,
    or none that can be read: the calendar has to be connected again.
    """
    if not ciphertext:
        raise CalendarError("unauthorized", ended="disconnected")
    context = signing_secrets.for_calendar(source_id)
    try:
        text = await asyncio.get_running_loop().run_in_executor(
            _thread(), signing_secrets.decrypt, ciphertext, context
        )
    except UnavailableError:
        raise CalendarError("secret_unavailable") from None
    try:
        members = json.loads(text)
    except ValueError:
        members = None
    if not isinstance(members, dict):
        raise CalendarError("unauthorized", ended="disconnected")
    return members


def text_of(members: Mapping[str, Any], name: str) -> str:
    """Return a member that is text. Raises CalendarError as for credentials that cannot be read."""
    found = members.get(name)
    if not isinstance(found, str) or not found:
        raise CalendarError("unauthorized", ended="disconnected")
    return found


@cache
def _thread() -> ThreadPoolExecutor:
    """Return one thread: KMS answers in milliseconds, and what it answered is cached."""
    return ThreadPoolExecutor(1, "credentials")
