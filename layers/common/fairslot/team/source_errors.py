"""Why an external calendar could not be read, in words: what is wrong, and what to do."""

import re

_STATUS = re.compile(r"http_(\d{3})")
_WORDS = {
    "timeout": "The calendar's server did not answer in time. It is tried again by itself.",
    "connection": "The calendar's server could not be reached. It is tried again by itself.",
    "rate_limited": "The provider asks for fewer requests. It is tried again by itself, later.",
    "invalid_url": "The address is not one that can be read. Correct `url`.",
    "blocked_address": "The address leads to no public server. Correct `url`.",
    "too_many_redirects": "The address leads from one to the next without an end. Correct `url`.",
    "other_domain": "The server refers to another domain, which does not get the password. Correct `url`.",
    "invalid_body": "What was answered is no calendar, or is cut off. Look at the address in a browser.",
    "too_large": "The calendar is too large to be read. Use one with fewer events.",
    "too_complex": "The calendar has too many events or repetitions to be read. Use one with fewer.",
    "unauthorized": "The provider refused the account or its password. Give new ones, or connect it again.",
    "access_revoked": "Access was withdrawn. Connect the calendar again.",
    "forbidden": "The account may not read this calendar. Share it with the account, or connect it again.",
    "not_found": "There is no such calendar, or it is no longer shared. Correct `url` or `calendar_ref`.",
    "unsupported": "The server cannot say what is needed. Use another kind of source for this calendar.",
    "conflict": "The provider refused an event, as the calendar has another one in its place.",
    "unknown_kind": "This release cannot read this kind of calendar yet.",
}


def in_words(code: str | None) -> str | None:
    """Return the sentence for the code of a failed reading, None for none; see calendars.interface."""
    if code is None:
        return None
    found = _STATUS.fullmatch(code)
    if found is None:
        return _WORDS.get(code, "The calendar could not be read. It is tried again by itself.")
    if code.startswith("http_5"):
        return f"The calendar's server failed (status {found[1]}). It is tried again by itself."
    return f"The calendar's server refused the request (status {found[1]}). Look at the address in a browser."
