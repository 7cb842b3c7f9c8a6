"""What refusals of Microsoft Graph mean to a source."""

from fairslot.calendars.interface import CalendarError, Ended
from fairslot.calendars.provider_api import Answer, Body, refusal_of

REPEATED = "ErrorDuplicateTransactionId"
MALFORMED_ID = "ErrorInvalidIdMalformed"

# Who connected may not do it: an administrator or the coach has to allow it and connect again. Other codes of
# a 403 (a full mailbox, a policy that has not arrived everywhere) pass.
_NOT_ALLOWED = {
    "AccessDenied",
    "Authorization_IdentityNotFound",
    "Authorization_RequestDenied",
    "ErrorAccessDenied",
    "ErrorNoFreeBusyAccess",
}
# There is no such calendar (any more), or none of a mailbox that Graph can read. Other codes of a 404 pass: a
# mailbox that is being moved has some.
_NOTHING_THERE = {
    "ErrorCalendarNotFound",
    "ErrorFolderNotFound",
    MALFORMED_ID,
    "ErrorInvalidUser",
    "ErrorItemNotFound",
    "ErrorMailRecipientNotFound",
    "ErrorNonExistentMailbox",
    "MailboxNotEnabledForRESTAPI",
    "MailboxNotSupportedForRESTAPI",
    "Request_ResourceNotFound",
    "ResourceNotFound",
}


def code_of(body: Body) -> str:
    """Return the code of an error, "" without one."""
    error = body.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, str) else ""


def microsoft_refusal(answer: Answer) -> CalendarError:
    """Return the error of a refused request. Only what Graph says in a code ends a source, no bare status."""
    found = by_code(code_of(answer.body))
    if found is not None and answer.status in {400, 403, 404}:
        return found
    return refusal_of(answer)


def by_code(code: str) -> CalendarError | None:
    """Return the error of a code that ends a source."""
    ended: Ended
    if code in _NOT_ALLOWED:
        reason, ended = "forbidden", "disconnected"
    elif code in _NOTHING_THERE:
        reason, ended = "not_found", "unsupported"
    else:
        return None
    return CalendarError(reason, ended=ended)
