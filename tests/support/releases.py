"""Databases and code of earlier releases, with which an upgrade begins.

    python -m tests.support.releases 0.2.0

writes those of a release that is about to go out: its schema with a team at work, and its package.
"""

import gzip
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from datetime import datetime
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
_LAYER = Path(__file__).parents[2] / "layers" / "common"
# They are of transactions of another server, and made anew.
_OF_THE_SERVER = ("availability_changes", "coach_horizons", "horizons_folded", "page_keys")


def last_release() -> Path:
    """Return the dump of the last release."""
    return max(FOLDER.glob("*.sql.gz"), key=lambda one: [int(part) for part in one.name.split(".")[:3]])


def _package() -> Path:
    return FOLDER / last_release().name.replace(".sql.gz", ".zip")


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


def read_with_last_release(url: str, now: datetime, reading: str) -> list[str]:
    """Have the last release's code claim what is due and store a reading; return who was claimed."""
    done = subprocess.run(
        [sys.executable, "-P", Path(__file__).with_name("release_reader.py"), now.isoformat()],
        env={**os.environ, "PYTHONPATH": str(_package()), "DATABASE_URL": url},
        input=reading,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    claimed: list[str] = json.loads(done.stdout)
    return claimed


class ReleaseClient:
    """A process with the code of the last release, at work on a database: release_client.py."""

    def __init__(self, url: str, hour: int, output: Path) -> None:
        self._output = output
        with output.open("w") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-P", Path(__file__).with_name("release_client.py"), str(hour)],
                env={**os.environ, "PYTHONPATH": str(_package()), "DATABASE_URL": url},
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    @property
    def error(self) -> bool:
        """Whether it has ended by itself."""
        return self._process.poll() is not None

    @property
    def rounds(self) -> int:
        """How many rounds it has done."""
        return self._output.read_text().count("round\n")

    def stop(self) -> None:
        """End it; raise what it met, if it met anything."""
        self._process.communicate(timeout=60)
        assert self._process.returncode == 0, self._output.read_text()


def write(version: str) -> None:
    """Write a release's database and package, compressed: a search finds the current text alone."""
    _write_package(FOLDER / f"{version}.zip")
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


def _write_package(path: Path) -> None:
    """Write the package without what its database has: old code runs on a schema that is newer."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as package:
        for one in sorted((_LAYER / "fairslot").rglob("*")):
            if one.suffix in {".py", ".sql"} and "schema" not in one.parts:
                package.write(one, one.relative_to(_LAYER))


if __name__ == "__main__":
    write(sys.argv[1])
