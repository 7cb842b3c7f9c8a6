"""Connecting at Google and Microsoft: to the provider's consent page, and back with a code."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus

from calendar_connect import browser, links, pages
from calendar_connect.links import Link
from calendar_connect.pages import Page
from fairslot.calendars import oauth, providers
from fairslot.calendars.interface import CalendarError
from fairslot.calendars.oauth import Grant
from fairslot.calendars.providers import NotRegisteredError
from fairslot.platform.observability import logger
from fairslot.platform.settings import settings

_STEP = "consent"
_SECONDS = 10.0
# What a scope lets us do, as people say it.
_IN_WORDS = {
    "calendar.events": "see and change events",
    "calendar.calendarlist.readonly": "see which calendars there are",
    "calendar.freebusy": "see when you are free or busy",
    "calendars.readwrite": "see and change events",
    "calendars.read": "see events",
}


def begin(link: Link) -> Page:
    """Send the coach to the provider. Nothing is changed: programs that scan mail open links too."""
    try:
        client = providers.oauth_of(link.kind)
    except NotRegisteredError:
        return pages.not_set_up(providers.NAMES[link.kind])
    cookie, verifier = browser.new_cookie(), oauth.new_verifier()
    state = browser.seal(_STEP, {"token": link.token, "verifier": verifier}, cookie)
    location = client.consent_url(
        redirect_uri=_redirect_uri(),
        state=state,
        verifier=verifier,
        scopes=providers.all_scopes(link.kind, writes=link.writes),
        account=link.account,
    )
    return Page(
        outcome="to_provider",
        status=HTTPStatus.SEE_OTHER,
        location=location,
        cookie=browser.set_cookie(cookie),
    )


def finish(query: Mapping[str, str], cookie: str | None) -> Page:
    """Take what the provider sent the coach back with. Raises UnavailableError."""
    begun = browser.unseal(_STEP, query.get("state", ""), cookie)
    if begun is None:
        return pages.not_this_browser()
    link = links.find(begun["token"])
    if isinstance(link, Page):
        return link
    name = providers.NAMES[link.kind]
    if query.get("error") == "access_denied":
        return pages.refused(name)
    if not query.get("code"):
        return pages.failed(name)
    try:
        grant = asyncio.run(_exchange(link, query["code"], begun["verifier"]))
    except (CalendarError, TimeoutError) as error:
        reason = error.reason if isinstance(error, CalendarError) else "timeout"
        logger.warning("code not exchanged", extra={"kind": link.kind, "error": reason})
        return pages.failed(name)
    return _store(link, grant, name)


def _store(link: Link, grant: Grant, name: str) -> Page:
    wanted = providers.calendar_scopes(link.kind, writes=link.writes)
    lacking = providers.oauth_of(link.kind).missing(wanted, grant.scopes)
    if lacking:
        return pages.missing(name, sorted(map(_in_words, lacking)))
    account = providers.account_of(grant)
    # What was granted is left alone: to revoke it would end what else of that account is connected.
    if link.is_other(account):
        return pages.wrong_account(link.account or "", account)
    if grant.refresh_token is None:
        return pages.failed(name)
    scopes = sorted(wanted if grant.scopes is None else grant.scopes)
    members = {"refresh_token": grant.refresh_token, "scopes": scopes}
    return links.store(link, members, account=account) or pages.connected(name, account)


async def _exchange(link: Link, code: str, verifier: str) -> Grant:
    async with asyncio.timeout(_SECONDS):
        client = providers.oauth_of(link.kind)
        return await client.exchange(code=code, verifier=verifier, redirect_uri=_redirect_uri())


def _redirect_uri() -> str:
    """Return the one address that the operator registers at the providers."""
    return f"{settings().public_url.rstrip('/')}/connect/callback"


def _in_words(scope: str) -> str:
    return _IN_WORDS.get(scope.rpartition("/")[2].lower(), scope)
