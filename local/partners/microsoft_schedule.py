"""getSchedule of the stand-in of Microsoft Graph."""

from datetime import UTC, datetime, timedelta

from aiohttp import web

from local.partners import server
from local.partners.microsoft_answers import Refused, zone_asked
from local.partners.microsoft_store import Item, Mailbox, Store, expanded, in_zone, instant

MOST_ADDRESSES = 20
LONGEST = timedelta(days=62)
# The digits of a view, in the order of their precedence.
_DIGITS = {"free": "0", "workingElsewhere": "4", "tentative": "1", "busy": "2", "oof": "3"}


async def get_schedule(request: web.Request, store: Store) -> web.Response:
    """Answer for each address; one that is not known is an error inside a 200."""
    body = await server.json_object(request)
    try:
        start, end = instant(body["startTime"]), instant(body["endTime"])
        step = timedelta(minutes=body.get("availabilityViewInterval", 30))
        addresses = [str(one) for one in body["schedules"]]
    except (KeyError, ValueError, TypeError):
        raise Refused(400, "ErrorInvalidRequest") from None
    if not 1 <= len(addresses) <= MOST_ADDRESSES or end - start >= LONGEST or start >= end:
        raise Refused(400, "ErrorInvalidRequest")
    if not timedelta(minutes=5) <= step <= timedelta(days=1):
        raise Refused(400, "ErrorInvalidMergedFreeBusyInterval")
    zone = zone_asked(request)
    value = [_schedule(store.mailbox(one), one, start, end, step, zone) for one in addresses]
    context = f"{request.url.origin()}/v1.0/$metadata#Collection(microsoft.graph.scheduleInformation)"
    return web.json_response({"@odata.context": context, "value": value})


def _schedule(
    mailbox: Mailbox | None, address: str, start: datetime, end: datetime, step: timedelta, zone: str
) -> Item:
    if mailbox is None:
        code = "ErrorMailRecipientNotFound"
        error = {"message": "Unable to resolve e-mail address to an Active Directory object."}
        return {"scheduleId": address, "error": error | {"responseCode": code}}
    events = [
        one for one in expanded(mailbox.default, start, end) if not one.get("isCancelled") and _counts(one)
    ]
    digits = []
    at = start
    while at < end:
        touching = [one for one in events if instant(one["start"]) < at + step and instant(one["end"]) > at]
        digits.append(
            max((_DIGITS.get(one["showAs"], "2") for one in touching), key=_precedence, default="0")
        )
        at += step
    return {
        "scheduleId": address,
        "availabilityView": "".join(digits),
        "scheduleItems": [_item(one, zone) for one in events],
        "workingHours": {
            "daysOfWeek": ["monday", "tuesday", "wednesday", "thursday", "friday"],
            "startTime": "08:00:00.0000000",
            "endTime": "17:00:00.0000000",
            "timeZone": {"name": mailbox.zone},
        },
    }


def _counts(event: Item) -> bool:
    return bool((event.get("responseStatus") or {}).get("response") != "declined")


def _precedence(digit: str) -> int:
    return list(_DIGITS.values()).index(digit)


def _item(event: Item, zone: str) -> Item:
    # Whole days are instants here: midnights of the zone that the event was made in.
    edges = {edge: _in_utc(event[edge]) for edge in ("start", "end")}
    return {
        "status": event["showAs"],
        **{edge: in_zone(time, zone, is_all_day=False) for edge, time in edges.items()},
    }


def _in_utc(given: Item) -> Item:
    return {"dateTime": instant(given).astimezone(UTC).replace(tzinfo=None).isoformat(), "timeZone": "UTC"}
