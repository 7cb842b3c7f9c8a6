"""What is kept of teams, in the process and in Valkey."""

from datetime import datetime

from redis import Redis

from fairslot.coach_time.kept_teams import KeptTeams
from fairslot.domain.slots import instant_of
from fairslot.platform.db import Connection
from tests.support.availability import Listed, list_page


def listed(connection: Connection, kept: KeptTeams | None = None, **more: object) -> Listed:
    """List the calendar with its coaches."""
    return list_page(connection, with_coaches=True, kept=kept, **more)  # type: ignore[arg-type]


def free_at(page: Listed, start: datetime) -> int:
    """Return how many coaches a page has for a start."""
    return next((one.available_coaches for one in page.starts if instant_of(one.slot) == start), 0)


def close_horizons(connection: Connection) -> None:
    """Close all time in the read model alone, unnoted, so that whoever reads it is seen."""
    connection.execute("UPDATE coach_horizons SET free = repeat('0', length(free))::varbit")


def names_of(cache: Redis) -> list[str]:
    """Return the names of the entries in Valkey."""
    return [bytes(name).decode() for name in cache.keys("team:*")]  # type: ignore[arg-type]


def value_of(cache: Redis, name: str) -> bytes:
    """Return an entry in Valkey."""
    value = cache.get(name)
    assert isinstance(value, bytes)
    return value


def entry_of(cache: Redis) -> str:
    """Return the name of the one entry in Valkey."""
    (name,) = names_of(cache)
    return name
