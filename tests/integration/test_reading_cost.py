"""What a page and an explanation read: the rows of the team, however many other coaches there are."""

from functools import partial

from fairslot.coach_time.read_model import fold_all_changes
from fairslot.platform.db import Connection
from tests.support.availability import list_page, reasons
from tests.support.clock import NINE
from tests.support.tables import rows_read
from tests.support.team import add_calendar, add_coach, add_team

SIZES = (6, 100, 1_000, 10_000)
COACHES = max(SIZES)
# To plan a statement, the rows at the ends of an index may be read.
PLANNING = 10


def test_a_page_reads_its_own_team(connection: Connection) -> None:
    """Among 10,000 coaches a team of any size is read from as many rows as it has coaches."""
    add_coach(connection, "coach")
    connection.execute(
        """
        INSERT INTO coaches (coach_id, tenant_id, name, time_zone, working_hours)
        SELECT 'coach-' || n, tenant_id, name, time_zone, working_hours
          FROM coaches, generate_series(1, %s::integer) AS n""",
        [COACHES],
    )
    for size in SIZES:
        add_calendar(connection, f"cal-{size}", [])
        connection.execute(
            "INSERT INTO coach_calendars SELECT %s, 'coach-' || n FROM generate_series(1, %s::integer) AS n",
            [f"cal-{size}", size],
        )
    fold_all_changes(connection)
    connection.execute("ANALYZE")
    for size in SIZES:
        listing = partial(list_page, connection, f"cal-{size}")
        read = rows_read(connection, ("coaches", "coach_horizons"), listing)
        assert max(read.values()) <= size + PLANNING, f"{size} coaches"


def test_explaining_reads_no_other_days(connection: Connection) -> None:
    """Of a coach who is free the days around the start are read, and none of the other weeks."""
    add_team(connection, 5)
    connection.execute("ANALYZE")
    connection.execute("SET enable_seqscan = off")  # so few days would be read whole
    read = rows_read(connection, ["coach_slots"], lambda: reasons(connection, NINE))
    assert read["coach_slots"] <= 5 * 2 + PLANNING
    assert list(reasons(connection, NINE).values()) == [None] * 5
