"""What the tables hold, and setting columns of their rows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, LiteralString

from fairslot.platform.db import Connection

type Params = Sequence[Any] | Mapping[str, Any] | None


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
    """Return a digest of every table that has rows, to tell whether anything changed.

    When a key was used, and how many requests there were, is noted whatever becomes of them.
    """
    tables = connection.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        " AND relname NOT IN ('api_key_uses', 'rate_counts')"
    ).fetchall()
    digests = " UNION ALL ".join(
        f"SELECT '{table['relname']}' AS name, md5(string_agg(t::text, '' ORDER BY t::text)) AS digest"
        f" FROM {table['relname']} AS t HAVING count(*) > 0"
        for table in tables
    )
    return {row["name"]: row["digest"] for row in connection.execute(digests.encode())}


def count(connection: Connection, table: str, where: str = "true") -> int:
    """Return how many rows of a table fulfil a condition."""
    row = one_row(connection, f"SELECT count(*) AS n FROM {table} WHERE {where}")
    return int(row["n"])


def one_row(connection: Connection, statement: LiteralString, values: Params = None) -> dict[str, Any]:
    """Return the first row of a query that has to have one."""
    row = connection.execute(statement, values).fetchone()
    assert row is not None, statement
    return row


def rows_read(connection: Connection, tables: Sequence[str], work: Callable[[], object]) -> dict[str, int]:
    """Return how many rows of tables a piece of work reads on the connection, by an index or without."""

    def read_so_far() -> dict[str, int]:
        rows = connection.execute(
            "SELECT relname, seq_tup_read + coalesce(idx_tup_fetch, 0) AS n FROM pg_stat_xact_user_tables"
            " WHERE relname = ANY (%s)",
            [list(tables)],
        )
        return {row["relname"]: row["n"] for row in rows}

    with connection.transaction():  # until its end nothing goes from these counters to those of all sessions
        before = read_so_far()
        work()
        return {table: n - before[table] for table, n in read_so_far().items()}


def clear_tables(connection: Connection) -> None:
    """Delete every coach and calendar with all that is theirs."""
    with connection.transaction():
        connection.execute("ALTER TABLE changes DISABLE TRIGGER changes_kept_whole")
        connection.execute("TRUNCATE coaches, calendars, coach_appointments, changes CASCADE")
        connection.execute("ALTER TABLE changes ENABLE TRIGGER changes_kept_whole")
