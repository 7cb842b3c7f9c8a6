"""Connecting by CalDAV: a form for an address, a user and an (app) password, tried before it is stored."""

import asyncio
from collections.abc import Mapping

from calendar_connect import browser, links, pages
from calendar_connect.links import Link
from calendar_connect.pages import Page
from fairslot.calendars.interface import CalendarError
from fairslot.calendars.providers import NAMES
from fairslot.platform.observability import logger

_STEP = "form"
_SECONDS = 12.0
_LONGEST = 1_000
_WORDS = {
    "unauthorized": "The server refused the user name or the password. Does it need an app password?",
    "forbidden": "The account may not write to this calendar. Give another one's address.",
    "not_found": "There is no calendar at this address. Give the server's or the calendar's own.",
    "invalid_url": "This is no address of a server. It begins with https://",
    "blocked_address": "This address leads to no public server.",
    "other_domain": "The server refers to another domain, which gets no password. Give that one's address.",
    "too_many_redirects": "This address leads from one to the next without an end.",
    "invalid_body": "What answers at this address is no CalDAV server.",
    "timeout": "The server did not answer in time. Try again in a minute.",
    "connection": "The server could not be reached. Check the address, or try again in a minute.",
    "rate_limited": "The server asks for fewer attempts. Try again in some minutes.",
}
_OTHERWISE = "The server did not show its calendars. Check the address, or try again in a minute."


def begin(link: Link) -> Page:
    """Show the form, with what is known of a calendar that was connected."""
    cookie = browser.new_cookie()
    return _form(link, cookie, address=link.url or "", user=link.account or "", set_cookie=True)


def finish(link: Link, form: Mapping[str, str], cookie: str | None) -> Page:
    """Try what was given, and store it if the server knows it. Raises UnavailableError.

    Whatever is wrong, the link stays valid, and the form says what to do.
    """
    begun = browser.unseal(_STEP, form.get("form", ""), cookie)
    if cookie is None or begun is None or begun["token"] != link.token:
        return pages.not_this_browser()
    address, user, password = (form.get(name, "").strip() for name in ("url", "username", "password"))
    if not all(0 < len(one) <= _LONGEST for one in (address, user, password)):
        return _form(link, cookie, address=address, user=user, error="Fill in all three.")
    if link.is_other(user):
        return pages.wrong_account(link.account or "", user)
    try:
        url, calendar = asyncio.run(_discovered(link, address, user, password))
    except (CalendarError, TimeoutError) as error:
        reason = error.reason if isinstance(error, CalendarError) else "timeout"
        logger.info("account not accepted", extra={"kind": link.kind, "error": reason})
        return _form(link, cookie, address=address, user=user, error=_WORDS.get(reason, _OTHERWISE))
    members = {"username": user, "password": password}
    refused = links.store(link, members, account=user, url=url, calendar_ref=calendar)
    return refused or pages.connected(NAMES[link.kind], user)


async def _discovered(link: Link, address: str, user: str, password: str) -> tuple[str, str]:
    """Return the account's address and that of the calendar to use. Raises CalendarError, TimeoutError."""
    from fairslot.calendars.caldav_account import Account
    from fairslot.calendars.caldav_discovery import choose, discover

    account = Account(address=address, user=user, password=password)
    async with asyncio.timeout(_SECONDS):
        found = await discover(account)
    chosen = choose(found, link.calendar_ref, writes=link.writes)
    return address if "://" in address else f"https://{address}", chosen.url


def _form(
    link: Link, cookie: str, *, address: str, user: str, error: str | None = None, set_cookie: bool = False
) -> Page:
    return pages.caldav_form(
        token_field=browser.seal(_STEP, {"token": link.token}, cookie),
        address=address[:_LONGEST],
        user=user[:_LONGEST],
        error=error,
        cookie=browser.set_cookie(cookie) if set_cookie else None,
    )
