"""How the stand-in of Microsoft Graph makes, changes and removes events."""

from collections.abc import Mapping
from datetime import datetime, time

from aiohttp import web

from local.partners.microsoft_answers import Refused
from local.partners.microsoft_oauth import STORE
from local.partners.microsoft_store import (
    CHANGED,
    Calendar,
    Item,
    Mailbox,
    change_occurrence,
    instant,
    new_id,
)
from local.partners.microsoft_subscriptions import tell

# What Graph computes, and clients cannot change.
_COMPUTED = {"id", "type", "transactionId", "changeKey", "seriesMasterId", "@odata.etag"}
_PROPERTIES = "singleValueExtendedProperties"
_SHOWN = {"free", "tentative", "busy", "oof", "workingElsewhere", "unknown"}


def complete(given: Mapping[str, object], mailbox: Mailbox) -> Item:
    """Return a new event with all that it was not given. Raises Refused."""
    event: Item = {
        "subject": "",
        "isAllDay": False,
        "isCancelled": False,
        "isOrganizer": True,
        "showAs": "busy",
        "sensitivity": "normal",
        "responseStatus": {"response": "organizer", "time": "0001-01-01T00:00:00Z"},
        "transactionId": None,
        "type": "seriesMaster" if given.get("recurrence") else "singleInstance",
        "recurrence": None,
        "originalStartTimeZone": mailbox.zone,
        "originalEndTimeZone": mailbox.zone,
        **given,
        "id": new_id(),
    }
    _check(event)
    return event


def changed(event: Item, given: Mapping[str, object]) -> Item:
    """Return an event with other members. Raises Refused."""
    after = event | {name: value for name, value in given.items() if name not in _COMPUTED}
    # One that is not given stays.
    both = [*event.get(_PROPERTIES, []), *after.get(_PROPERTIES, [])]
    after[_PROPERTIES] = list({one["id"]: one for one in both}.values())
    _check(after)
    return after


def stored(app: web.Application, mailbox: Mailbox, calendar: Calendar, event: Item, change: str) -> Item:
    """Store an event as a new version, and tell who subscribed."""
    kept = app[STORE].stamp(event)
    if "seriesMasterId" in kept:
        change_occurrence(calendar, event, kept)
    else:
        calendar.events[kept["id"]] = kept
    tell(app, mailbox, calendar, kept["id"], change)
    return kept


def take_out(app: web.Application, mailbox: Mailbox, calendar: Calendar, event: Item) -> None:
    """Remove an event, and tell who subscribed."""
    if "seriesMasterId" in event:
        change_occurrence(calendar, event, None)
    else:
        del calendar.events[event["id"]]
    tell(app, mailbox, calendar, event["id"], "deleted")


def _check(event: Item) -> None:
    """Refuse what Graph refuses: ends before starts, days that begin at noon, unknown words."""
    try:
        start, end = instant(event["start"]), instant(event["end"])
        edges = [datetime.fromisoformat(event[edge]["dateTime"]).time() for edge in ("start", "end")]
    except (KeyError, ValueError, TypeError):
        raise Refused(400, "ErrorInvalidRequest", "start and end are needed") from None
    if end < start:
        raise Refused(400, "ErrorInvalidRequest", "the end is before the start")
    if event["isAllDay"] and (edges != [time(), time()] or end <= start):
        raise Refused(400, "ErrorInvalidRequest", "whole days begin and end at midnight")
    if event["showAs"] not in _SHOWN:
        raise Refused(400, "RequestBodyRead", "showAs is not one of Graph's words")
    event.setdefault(CHANGED, {})
