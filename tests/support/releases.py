"""Databases of earlier releases, kept as dumps, which an upgrade begins with.

    python -m tests.support.releases 0.2.0

writes the one of a release that is about to go out: its schema, and a team at work.
"""

import gzip
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg

from fairslot.platform import db
from fairslot.platform.migrate import migrate
from local.postgres import EmbeddedPostgres
from local.postgres_account import installation
from tests.support.bookings import book, cancel, hold, release_hold, reschedule
from tests.support.clock import HOUR, NINE
from tests.support.endpoints import add_endpoint
from tests.support.team import add_team

FOLDER = Path(__file__).parents[1] / "fixtures" / "releases"
# They are of transactions of another server, and made anew.
_OF_THE_SERVER = ("availability_changes", "coach_horizons", "horizons_folded", "page_keys")


def last_release() -> Path:
    """Return the dump of the last release."""
    return max(FOLDER.glob("*.sql.gz"), key=lambda one: [int(part) for part in one.name.split(".")[:3]])


def restore(url: str, release: Path) -> None:
    """Fill an empty database as the release left it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(gzip.decompress(release.read_bytes()))


def fill(url: str) -> None:
    """Make a database with all that happens to appointments and ledgers."""
    migrate(url)
    with db.connect(url) as connection:
        add_team(connection, 3)
        add_endpoint(connection, "crm", "appointment.*")
        book(connection, NINE)
        moved, gone = (book(connection, NINE + hour * HOUR) for hour in (1, 2))
        reschedule(connection, moved, NINE + 4 * HOUR)
        cancel(connection, gone)
        release_hold(connection, hold(connection, start=NINE + 5 * HOUR))
        hold(connection, start=NINE + 6 * HOUR)
        connection.execute("SELECT engine.leave_team('cal', 'coach-03', %s)", (NINE,))


def write(version: str) -> None:
    """Write the dump of a release, compressed: a search finds the current text of a function alone."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedPostgres(Path(folder)) as postgres:
        fill(postgres.url)
        left_out = [f"--exclude-table-data={table}" for table in _OF_THE_SERVER]
        text = subprocess.run(
            [installation() / "bin" / "pg_dump", "--inserts", "--no-owner", *left_out, postgres.url],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    lines = [line for line in text.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{version}.sql.gz").write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))


if __name__ == "__main__":
    write(sys.argv[1])
