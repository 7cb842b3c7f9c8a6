"""Placeholder."""

from collections.abc import Iterator

from bench.figures import Figure


def figures() -> Iterator[Figure]:
    """Nothing yet."""
    yield from ()
