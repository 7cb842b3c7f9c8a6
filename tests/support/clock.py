"""The instants at which tests happen, and a database whose clock stands still."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from psycopg import sql

from fairslot.platform.db import Connection

NEW_YORK = ZoneInfo("America/New_York")  # the coaches' zone unless a test says another
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)  # a Monday; New York changes its clocks on the 8th
NINE = datetime(2026, 3, 3, 14, 0, tzinfo=UTC)  # 09:00 in New York on the next day
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
QUARTER, HALF = 15 * MINUTE, 30 * MINUTE


def stop_clock(connection: Connection, now: datetime) -> None:
    """Stop the database's clock at an instant, for this and every later connection."""
    connection.execute(
        sql.SQL(
            "CREATE OR REPLACE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE"
            " RETURN {}::timestamptz"
        ).format(sql.Literal(now.isoformat()))
    )
    connection.execute(
        sql.SQL("ALTER DATABASE {} SET search_path = public, pg_catalog").format(
            sql.Identifier(connection.info.dbname)
        )
    )
    connection.execute("SET search_path = public, pg_catalog")
