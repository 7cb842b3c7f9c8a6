"""Measure everything that has a goal and print both side by side: `make bench`, about three minutes.

Each part is measured in a process of its own, one after another. The last run is kept in bench/results/.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor

from bench import availability, booking, booking_growth, booking_handler, cold_start, deliveries, memory, sync
from bench.table import COLUMNS, Row, heading, keep

PAGE_MS = {(6, 7): 3, (100, 30): 10, (1_000, 30): 50, (10_000, 30): 150}


def alone[T](measure: Callable[[], T]) -> T:
    """Measure in a fresh process, with an environment and connections of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure).result()


def of_booking() -> Iterator[Row]:
    """Measure booking in the database, and its growth."""
    goals = {"1 client": 0.40, "8 spread": 0.25, "8 at one instant": 0.15}
    for name, ratio in alone(booking.throughput).items():
        yield Row(f"booking in the database, {name}, of the bare commit", goals[name], ratio, at_least=True)
    for factor, ratio in alone(booking_growth.growth).items():
        yield Row(f"booking with {factor} times the history", 1.1, ratio, "times")


def of_the_handler() -> Iterator[Row]:
    """Measure the whole booking handler."""
    found = alone(booking_handler.booking)
    note = f"{found['handler_ms']:.2f} of {found['call_ms']:.2f} ms"
    yield Row("booking handler against its database call, p50", 2.5, found["ratio"], "times", note=note)


def of_availability() -> Iterator[Row]:
    """Measure pages by size, and against their SQL."""
    found = alone(availability.pages)
    for (coaches, days), page in found.items():
        note = f"{page['ms']:.2f} of {page['sql_ms']:.2f} ms"
        what = f"availability handler against its bare SQL, {coaches:,} x {days}, p50"
        yield Row(what, 2, page["ratio"], "times", note=note)
    for size, page in found.items():
        yield Row(f"availability, {size[0]:,} coaches x {size[1]} days, p50", PAGE_MS[size], page["ms"], "ms")
    yield Row("availability from the cache", 2, None, "ms")


def of_sync() -> Iterator[Row]:
    """Measure storing a reading, against one row per slot."""
    for what, found in alone(sync.storing).items():
        note = (
            f"{found['bits_ms']:.2f} against {found['rows_ms']:.2f} ms;"
            f" {found['working_times']:.1f} times with rows for working hours alone"
        )
        yield Row(
            f"sync of one coach against one row per slot, {what}",
            10,
            found["times"],
            "times",
            at_least=True,
            note=note,
        )


def of_cold_starts() -> Iterator[Row]:
    """Measure import and first response, by function."""
    figures = alone(cold_start.ratios)
    for module, found in figures.items():
        note = f"{found['ms']:.0f} of {found['libraries_ms']:.0f} ms"
        name = module.partition(".")[0]
        yield Row(f"cold start of {name} against its imports", 1.2, found["ratio"], "times", note=note)
    yield Row("imports of booking", 280, figures["booking.app"]["imports_ms"], "ms")


def of_memory() -> Iterator[Row]:
    """Measure the memory of the busy functions' processes."""
    for module, seen in alone(memory.peaks).items():
        first, *_, last = (one / 1024 for one in seen.resident_kib)
        note = f"{first:.1f} at the start, {last:.1f} at the end"
        name = module.removesuffix(".app")
        yield Row(f"memory of {name} over 10,000 events", 100, seen.peak_kib / 1024, "MiB", note=note)


def of_dispatch() -> Iterator[Row]:
    """Measure the dispatcher."""
    found = alone(deliveries.figures)
    yield Row("webhook dispatch, one worker", 150, found["rate"], "/s", at_least=True)
    yield Row("the same, signed for a subscriber", 150, found["signed"], "/s", at_least=True)
    own = f"{found['own_ms']:.2f} ms of it from receipt"
    yield Row("queue to subscriber when idle, p50", 50, found["p50_ms"], "ms", note=own)


def main() -> None:
    """Print each row of the table when it is measured, and keep the table."""
    begun = time.monotonic()
    head = heading()
    print(f"{head}\n\n{COLUMNS}")
    rows = []
    for part in (
        of_booking,
        of_the_handler,
        of_availability,
        of_sync,
        of_cold_starts,
        of_dispatch,
        of_memory,
    ):
        for row in part():
            print(row, flush=True)
            rows.append(row)
    keep(head, rows, time.monotonic() - begun)
    print(f"\n{time.monotonic() - begun:.0f} s; kept in bench/results/last.txt and last.json")


if __name__ == "__main__":
    main()
