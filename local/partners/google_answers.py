"""How the stand-in of Google lets a call in, and how it answers."""

import time
from typing import Any

from aiohttp import web

from local.partners import field_mask
from local.partners.faults import Handler
from local.partners.google_oauth import STORE
from local.partners.google_store import Account, Calendar

BASE = "/calendar/v3"
ACCOUNT = web.RequestKey("account", Account)
_SCOPE = "https://www.googleapis.com/auth/calendar"
# Which scopes allow what; the one without a name allows all.
_ALLOWED_BY = {
    "/events": {_SCOPE, f"{_SCOPE}.events"},
    "/freeBusy": {_SCOPE, f"{_SCOPE}.freebusy"},
    "/calendarList": {_SCOPE, f"{_SCOPE}.calendarlist.readonly"},
}


class Refused(Exception):  # noqa: N818  # an answer, not an error
    """The call is refused, for a reason by Google's name."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@web.middleware
async def let_in(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Check the token, its scope and the quota of whoever calls."""
    if not request.path.startswith(BASE):
        return await handler(request)
    store = request.app[STORE]
    store.calls.append(f"{request.method} {request.path_qs.removeprefix(BASE)}")
    account = store.by_access_token(request.headers.get("Authorization", "").removeprefix("Bearer "))
    if account is None:
        return _refusal(401, "authError")
    if not account.is_within_quota(time.monotonic()):
        return _refusal(403, "userRateLimitExceeded")
    allowed_by = next((scopes for part, scopes in _ALLOWED_BY.items() if part in request.path), None)
    if allowed_by is not None and not allowed_by & account.scopes:
        return _refusal(403, "insufficientPermissions")
    request[ACCOUNT] = account
    try:
        return await handler(request)
    except Refused as refused:
        return _refusal(refused.status, refused.reason)


def _refusal(status: int, reason: str) -> web.Response:
    error = {
        "code": status,
        "message": reason,
        "errors": [{"domain": "global", "reason": reason, "message": reason}],
    }
    return web.json_response({"error": error}, status=status)


def answer(request: web.Request, body: Any) -> web.Response:
    """Answer with those members that `fields` asks for. Raises Refused."""
    if "fields" in request.query:
        try:
            body = field_mask.apply(field_mask.parse(request.query["fields"]), body)
        except ValueError:
            raise Refused(400, "invalidParameter") from None
    return web.json_response(body)


def calendar_of(request: web.Request, *, writing: bool = False) -> Calendar:
    """Return the calendar that the path names. Raises Refused."""
    calendar = request[ACCOUNT].calendar(request.match_info["calendar_id"])
    if calendar is None:
        raise Refused(404, "notFound")
    if writing and calendar.role not in {"owner", "writer"}:
        raise Refused(403, "requiredAccessLevel")
    return calendar
