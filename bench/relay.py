"""Making deliveries of changes after their commit, in batches.

PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.relay
"""

from collections.abc import Iterator

from bench.figures import Figure, Measured


def figures() -> Iterator[Measured]:
    """Measure the relay, and say what of it the booking no longer pays."""
    yield Figure(name="relay: making deliveries, a change in fifties", value=None, unit="µs", goal=60)


if __name__ == "__main__":
    print(*figures(), sep="\n")
