"""What a measurement returns: figures with their goals, costs that were moved, and how long it took."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure in `unit`; its value is None if what it measures is not built, its goal None if it has none.

    The goal is a maximum, or a minimum if `at_least`. Runs are compared by `name`, so it stays as it is.
    """

    name: str
    value: float | None
    unit: str = ""
    goal: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def is_met(self) -> bool:
        """Whether the goal is met; true if there is none."""
        if self.goal is None:
            return True
        if self.value is None:
            return False
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def __str__(self) -> str:
        """Return the beginning of a line of the table."""
        relation = "" if self.goal is None else f"{'≥' if self.at_least else '≤'} {self.goal:g}"
        value = "not built" if self.value is None else f"{self.value:.2f}"
        met = "" if self.goal is None else "met" if self.is_met else "NOT MET"
        return f"{self.name:<66} {relation:>7} {value:>9} {self.unit:<6} {met:<7}"


@dataclass(frozen=True, kw_only=True)
class Moved:
    """A cost that left one place and came up at another, in µs for each booking.

    What is really saved is `saved` less `cost`.
    """

    name: str
    saved: float
    cost: float
    where: str

    def __str__(self) -> str:
        """Return a line of what was moved."""
        return (
            f"{self.name}: {self.saved:.0f} µs less for each booking, {self.cost:.0f} µs more in {self.where}"
        )


@dataclass(frozen=True, kw_only=True)
class Part:
    """What measuring took: the seconds that passed, and those of all its processes on processors."""

    name: str
    seconds: float
    processor_seconds: float

    def __str__(self) -> str:
        """Return a line of what was measured how long."""
        return f"{self.name}: {self.seconds:.0f} s, {self.processor_seconds:.0f} s of processors"


type Measured = Figure | Moved


def range_of(values: Sequence[float]) -> str:
    """Return how far the rounds of a figure lie apart."""
    return f"{min(values):.2f} to {max(values):.2f} in {len(values)} rounds"
