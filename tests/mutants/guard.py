"""What a guard is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Guard:
    """A piece of `file` in the package; without it (`new` in its place) `test` must fail."""

    name: str
    file: str
    old: str
    new: str
    test: str
    times: int = 1
