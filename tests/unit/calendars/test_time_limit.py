"""A calculation is stopped when it takes too long, and only then."""

import sys
import threading
import time
from contextlib import suppress

import pytest

from fairslot.calendars.time_limit import TookTooLongError, within


def forever() -> None:
    while True:
        pass


def stubborn() -> None:
    while True:
        with suppress(Exception):
            forever()


def test_a_result_comes_back() -> None:
    """What ends in time returns, or raises, as without a bound."""
    assert within(10, lambda: 7) == 7
    with pytest.raises(ValueError, match="invalid literal"):
        within(10, lambda: int("x"))


@pytest.mark.parametrize("work", [forever, stubborn])
def test_what_does_not_end_is_stopped(work: object) -> None:
    """Also when it catches whatever it can."""
    assert callable(work)
    with pytest.raises(TookTooLongError):
        within(0.05, work)


def test_a_stop_that_is_lost_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is raised in a finalizer ends that alone."""
    lost: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lost.append)

    class Slow:
        def __del__(self) -> None:
            while not lost and time.monotonic() < end:
                pass

    def work() -> None:
        Slow()
        while time.monotonic() < end:
            pass

    for _ in range(3):
        lost.clear()
        end = time.monotonic() + 20
        with pytest.raises(TookTooLongError):
            within(0.05, work)
        assert len(lost) == 1


def test_any_thread_can_be_stopped() -> None:
    """A worker's calculation is stopped, and its thread goes on."""
    seen: list[str] = []

    def run() -> None:
        for _ in range(2):
            try:
                within(0.05, forever)
            except TookTooLongError:
                seen.append("stopped")

    worker = threading.Thread(target=run)
    worker.start()
    worker.join(10)
    assert seen == ["stopped", "stopped"]


def test_a_stop_at_the_last_moment_does_not_leak() -> None:
    """However close the end of the work and of its time are, one of the two is the outcome."""

    def work() -> int:
        return sum(range(3000))

    for _ in range(300):
        try:
            assert within(0.0001, work) == 4_498_500
        except TookTooLongError:
            continue
