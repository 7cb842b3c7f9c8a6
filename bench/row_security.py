"""Row-level security: a booking and a page under policies by tenant, against the same without.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.row_security

Policies do not bind a table's owner, so that one database shows both: as its owner, and as a role that has
the policies. They are measured on the tables that have a tenant, and on all: the rest belong to a coach, a
calendar or an endpoint, where the tenant is looked up. The session has its tenant already. What it costs to
set it for a transaction, which is what a pool of sessions needs, is measured beside it, without policies.
Time is the server's processor time, and the roles take turns.
"""

import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from bench import booking_database
from bench.booking_parts import server_ns
from bench.limits import page
from fairslot.coach_time.days import extend_days
from fairslot.coach_time.read_model import fold_all_changes
from fairslot.platform import db
from local.postgres import EmbeddedPostgres
from tests.support.team import ALWAYS, TENANT, add_calendar, add_coach

ROUNDS = 200
PAGES = 60
LARGE = 100
_ROLE = "tenants"
_OWN = "tenant_id = current_setting('fairslot.tenant')"
# Tables without a tenant: the table that has it, and the column that leads there.
_LEADS = {
    "coach_absences": ("coaches", "coach_id"),
    "coach_calendars": ("calendars", "calendar_id"),
    "coach_horizons": ("coaches", "coach_id"),
    "coach_periods": ("coaches", "coach_id"),
    "coach_slots": ("coaches", "coach_id"),
    "coach_syncs": ("coaches", "coach_id"),
    "rosters": ("calendars", "calendar_id"),
    "turns": ("calendars", "calendar_id"),
    "webhook_deliveries": ("webhook_endpoints", "endpoint_id"),
}


def ratios(rounds: int = ROUNDS, pages: int = PAGES) -> Iterator[tuple[str, float, float]]:
    """Return what was measured, and the median microseconds without and with it."""
    with booking_database.database() as server:
        with db.connect(server.url) as connection:
            _add_large_team(connection)
        _add_role(server)
        for tables in ("tables that have a tenant", "all tables"):
            name = tables.replace(" ", "_")
            _copy(server, name, every=tables.startswith("all"))
            with ExitStack() as stack:
                both = [stack.enter_context(db.connect(url)) for url in _urls(server, name)]
                _check(both[1])
                instants = iter(booking_database.starts())
                book = [partial(_book, one, instants) for one in both]
                yield f"policies on {tables}: booking", *_compared(both, book, rounds)
                for name, calendar, days in (("6 x 7", "cal-1", 7), (f"{LARGE} x 30", "large", 30)):
                    show = [partial(page, one, calendar, days, None) for one in both]
                    yield f"policies on {tables}: availability, {name}", *_compared(both, show, pages)
                if not tables.startswith("all"):
                    show = [partial(page, both[0], "cal-1", 7, None), partial(_page_of_tenant, both[0])]
                    yield "setting the tenant: availability, 6 x 7", *_compared([both[0]] * 2, show, pages)


def _compared(
    connections: Sequence[db.Connection], works: Sequence[Callable[[], object]], turns: int
) -> tuple[float, float]:
    """Return the median times of two pieces of work, each on its connection, done in turns."""
    took: list[list[int]] = [[], []]
    for number in range(turns):
        for one in (0, 1) if number % 2 else (1, 0):
            took[one].append(server_ns(connections[one].info.backend_pid, works[one]))
    without, under = (statistics.median(times[turns // 5 :]) / 1000 for times in took)
    return without, under


def _book(connection: db.Connection, instants: Iterator[datetime]) -> None:
    if not booking_database.book(connection, "cal-0", next(instants)):
        raise SystemExit("nobody is free")


def _page_of_tenant(connection: db.Connection) -> None:
    with connection.transaction():
        connection.execute("SELECT set_config('fairslot.tenant', %s, true)", (TENANT,))
        page(connection, "cal-1", 7, None)


def _check(connection: db.Connection) -> None:
    """Give the role its tenant, once it has been seen that it has to have one."""
    for tenant, number in (("nobody", 0), (TENANT, LARGE)):
        connection.execute("SELECT set_config('fairslot.tenant', %s, false)", (tenant,))
        row = connection.execute("SELECT count(*) AS n FROM coaches WHERE coach_id LIKE 'large%'").fetchone()
        if row is None or row["n"] != number:
            raise SystemExit(f"the policies do not hold: {row}")


def _add_large_team(connection: db.Connection) -> None:
    coaches = [f"large-{number}" for number in range(LARGE)]
    for coach_id in coaches:
        add_coach(connection, coach_id, time_zone="UTC", max_per_day=10_000, working_hours=ALWAYS)
    add_calendar(connection, "large", coaches, duration=15)
    extend_days(connection, now=datetime.now(UTC))
    fold_all_changes(connection)


def _add_role(server: EmbeddedPostgres) -> None:
    """Make the role, with the owner's password."""
    password = urlsplit(server.url).password or ""
    with psycopg.connect(server.admin_url(), autocommit=True) as admin:
        made = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
        admin.execute(made.format(sql.Identifier(_ROLE), sql.Literal(password)))


def _copy(server: EmbeddedPostgres, name: str, *, every: bool) -> None:
    """Copy the database and give its tables policies."""
    with psycopg.connect(server.admin_url(), autocommit=True) as admin:
        made = sql.SQL("CREATE DATABASE {} OWNER fairslot TEMPLATE fairslot")
        admin.execute(made.format(sql.Identifier(name)))
    with db.connect(server.url_of(name)) as connection:
        having = connection.execute(
            "SELECT table_name AS name FROM information_schema.columns JOIN information_schema.tables"
            " USING (table_schema, table_name)"
            " WHERE table_schema = 'public' AND column_name = 'tenant_id' AND table_type = 'BASE TABLE'"
        ).fetchall()
        policies = {row["name"]: _OWN for row in having}
        if every:
            policies |= {table: _leads(table, of, column) for table, (of, column) in _LEADS.items()}
        statements = [
            f"GRANT USAGE ON SCHEMA public, engine TO {_ROLE}",
            f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {_ROLE}",
            *(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY" for table in policies),
            *(f"CREATE POLICY own ON {table} USING ({condition})" for table, condition in policies.items()),
            "VACUUM (ANALYZE)",
        ]
        for statement in statements:
            connection.execute(statement.encode())


def _leads(table: str, of: str, column: str) -> str:
    return f"EXISTS (SELECT FROM {of} AS own WHERE own.{column} = {table}.{column} AND own.{_OWN})"


def _urls(server: EmbeddedPostgres, name: str) -> tuple[str, str]:
    url = server.url_of(name)
    return url, url.replace("//fairslot:", f"//{_ROLE}:")


def main() -> None:
    """Print the ratios."""
    for name, without, under in ratios():
        sys.stdout.write(f"{name:<60} {under / without:5.2f} times  {under:8.0f} of {without:8.0f} µs\n")


if __name__ == "__main__":
    main()
