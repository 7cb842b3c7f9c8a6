"""What the tables hold, and setting columns of their rows."""

from collections.abc import Mapping
from typing import Any

from fairslot.platform.db import Connection


def set_columns(
    connection: Connection, table: str, where: Mapping[str, Any], columns: Mapping[str, Any]
) -> None:
    """Set columns of the rows that have the values in `where`; a value that is None is no condition."""
    conditions = {name: value for name, value in where.items() if value is not None}
    statement = f"UPDATE {table} SET " + ", ".join(f"{name} = %s" for name in columns)
    if conditions:
        statement += " WHERE " + " AND ".join(f"{name} = %s" for name in conditions)
    connection.execute(statement.encode(), [*columns.values(), *conditions.values()])


def table_digests(connection: Connection) -> dict[str, str]:
    """Return a digest of every table that has rows, to tell whether anything changed."""
    tables = connection.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    ).fetchall()
    digests = " UNION ALL ".join(
        f"SELECT '{table['relname']}' AS name, md5(string_agg(t::text, '' ORDER BY t::text)) AS digest"
        f" FROM {table['relname']} AS t HAVING count(*) > 0"
        for table in tables
    )
    return {row["name"]: row["digest"] for row in connection.execute(digests.encode())}


def count(connection: Connection, table: str) -> int:
    """Return how many rows a table has."""
    row = connection.execute(f"SELECT count(*) AS n FROM {table}".encode()).fetchone()
    return int(row["n"]) if row else 0


def clear_tables(connection: Connection) -> None:
    """Delete every coach and calendar with all that is theirs."""
    connection.execute(
        "TRUNCATE coaches, calendars, coach_appointments, distribution_log, webhook_events CASCADE"
    )
