"""The record of a calendar's credits, step by step, for whoever replays it."""

from dataclasses import dataclass
from typing import Any

from fairslot.domain.errors import NotFoundError
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries

_SQL = queries("record")

# Of a page: a step of a team of a thousand is 150 kB.
_MOST_CANDIDATES = 10_000


@dataclass(frozen=True, kw_only=True)
class Page:
    """Steps by their number, `limit` of them and one more if there are more, and the credits of now.

    Both are of one instant. Shares, weights and credits are millionths.
    """

    steps: list[dict[str, Any]]
    credits: list[dict[str, Any]]
    limit: int


def read(connection: Connection, *, tenant_id: str, calendar_id: str, after: int | None, limit: int) -> Page:
    """Return the steps of a calendar's record after a number: `limit`, or fewer for a large team.

    Raises:
        NotFoundError: the tenant has no such calendar.

    """
    values = {"tenant": tenant_id, "calendar": calendar_id, "after": after or 0}
    team = connection.execute(_SQL["size"], values).fetchone()
    if team is None:
        raise NotFoundError("There is no such calendar.")
    fitting = min(limit, max(1, _MOST_CANDIDATES // max(1, team["size"])))
    row = connection.execute(_SQL["page"], values | {"limit": fitting + 1}).fetchone()
    if row is None:
        raise NotFoundError("There is no such calendar.")
    return Page(steps=row["steps"], credits=row["credits"], limit=fitting)
