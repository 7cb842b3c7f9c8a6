"""Apply the numbered SQL files of `migrations/` to a database, each once and in a transaction of its own."""

import hashlib
import sys
from importlib.resources import files

import psycopg

from fairslot.settings import settings

_LOCK = 7_215_204_113
_LEDGER = """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        name text PRIMARY KEY,
        checksum text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    )"""
# The timeouts are for requests. To wait for a lock without end is safe: no transaction outlasts its timeout.
_WITHOUT_TIMEOUTS = """
    SELECT set_config(name, '0', true)
      FROM unnest('{lock_timeout, statement_timeout, transaction_timeout}'::text[]) AS name"""


class MigrationChangedError(Exception):
    """A migration that was applied has been edited since."""


def migrations() -> list[tuple[str, str]]:
    """Return the name and the text of each migration, in order."""
    found = [entry for entry in files("fairslot").joinpath("migrations").iterdir() if entry.name[0].isdigit()]
    return [(entry.name, entry.read_text("utf-8")) for entry in sorted(found, key=lambda one: one.name)]


def migrate(url: str, steps: list[tuple[str, str]] | None = None) -> list[str]:
    """Bring the database at `url` up to date and return the names applied.

    Safe to run twice and by several at once: a session lock orders the runs. A
    migration that fails leaves nothing of itself behind.

    Raises:
        MigrationChangedError: an applied file is no longer what was applied.

    """
    applied: list[str] = []
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
        with connection.transaction():
            connection.execute(_WITHOUT_TIMEOUTS)
            connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        connection.execute(_LEDGER)
        known: dict[str, str] = dict(
            connection.execute("SELECT name, checksum FROM schema_migrations").fetchall()
        )
        for name, text in migrations() if steps is None else steps:
            checksum = hashlib.sha256(text.encode()).hexdigest()
            if name in known:
                if known[name] != checksum:
                    raise MigrationChangedError(name)
                continue
            with connection.transaction():
                connection.execute(_WITHOUT_TIMEOUTS)
                connection.execute(text.encode())
                connection.execute(
                    "INSERT INTO schema_migrations (name, checksum) VALUES (%s, %s)", (name, checksum)
                )
            applied.append(name)
    return applied


def main() -> None:
    """Migrate the database of the environment and say what was done."""
    applied = migrate(settings().database_url)
    sys.stdout.write("".join(f"applied {name}\n" for name in applied) or "the database is up to date\n")


if __name__ == "__main__":
    main()
