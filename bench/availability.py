"""Pages of availability through the handler, by size of the team: read anew, kept, and after bookings.

PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.availability
"""

from collections.abc import Iterator

from bench import availability_cache, availability_uncached
from bench.availability_teams import add_teams
from bench.figures import Figure
from bench.stack import quiet, stack
from fairslot.platform import db


def figures() -> Iterator[Figure]:
    """Measure pages that are read anew, then pages that are read again."""
    with stack() as parts, db.connect(parts.postgres.url) as connection:
        add_teams(connection)
        with quiet():
            found = [*availability_uncached.figures(connection), *availability_cache.figures(connection)]
    yield from found


if __name__ == "__main__":
    print(*figures(), sep="\n")
