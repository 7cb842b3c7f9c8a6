"""What a caller that may see some calendars only may ask about: the one place that decides it.

To such a caller the other calendars, and what belongs to them, are not there.
"""

from collections.abc import Mapping
from typing import Any, Literal

from fairslot.access.keys import Client
from fairslot.domain.errors import ForbiddenError, NotFoundError
from fairslot.platform import db
from fairslot.platform.queries import queries

_SQL = queries("calendars_seen")

# What a route is about: the calendars that are named in the path, the query or the body, or without one every
# calendar; the calendar of an appointment or of a hold; what it lists; or all calendars of the tenant.
type Subject = Literal["named", "appointment", "hold", "listed", "all"]


def check(caller: Client, subject: Subject, arguments: Mapping[str, Any]) -> None:
    """Let a request through that is about calendars which its caller may see.

    `arguments` are the route's, by name, as they were validated. What is listed has to be limited by the
    route.

    Raises:
        NotFoundError: it is about another calendar; the same error as where there is none.
        ForbiddenError: it is about all calendars.

    """
    seen = caller.calendars
    if seen is None:
        return
    if subject == "all":
        raise ForbiddenError(
            "This route is about every calendar; use an API key that is not limited to some."
        )
    if subject == "named":
        if not _named(arguments) <= seen:
            raise NotFoundError("There is no such calendar.")
    elif subject != "listed":
        calendar_id = _calendar_of(caller.tenant_id, arguments[f"{subject}_id"])
        # What is gone may have an answer for its idempotency key.
        if calendar_id is not None and calendar_id not in seen:
            raise NotFoundError(f"There is no such {subject}.")


def must_be_limited(subject: Subject, arguments: Mapping[str, Any]) -> bool:
    """Tell whether the route itself has to leave out what its caller may not see."""
    return subject == "listed" or (subject == "named" and not _named(arguments))


def _named(arguments: Mapping[str, Any]) -> set[str]:
    one = arguments.get("calendar_id") or getattr(arguments.get("body"), "calendar_id", None)
    return {*(arguments.get("calendars") or ()), *([one] if one else ())}


def _calendar_of(tenant_id: str, resource_id: object) -> str | None:
    values = {"tenant": tenant_id, "id": resource_id}
    row = db.run(lambda connection: connection.execute(_SQL["calendar_of"], values).fetchone())
    return row["calendar_id"] if row else None
