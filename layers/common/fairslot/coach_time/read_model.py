"""Keeping the read model of availability small to complete: see schema/functions/19_availability.sql."""

from datetime import datetime, timedelta

from fairslot.platform import db
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries

_SQL = queries("read_model")
_LIMIT = 2_000
# Kept teams live for a quarter of an hour; see kept_teams.
_KEEP_CHANGES = timedelta(hours=1)


def fold_changes(connection: Connection) -> bool:
    """Bring the read model up to date with about two thousand changes; return whether there are more."""
    row = connection.execute(_SQL["fold"], {"limit": _LIMIT}).fetchone()
    return bool(row and row["more"])


def fold_all_changes(connection: Connection, *, most: int = 40_000) -> None:
    """Bring the read model up to date, with about `most` changes if there are more."""
    for _ in range(most // _LIMIT + 2):
        if not fold_changes(connection):
            return


def delete_old_changes(connection: Connection, *, now: datetime) -> int:
    """Delete the changes that the read model has and no kept team can miss; return how many."""
    return db.number(connection, _SQL["delete_old"], {"before": now - _KEEP_CHANGES})
