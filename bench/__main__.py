"""Measure everything that has a goal and print both side by side: `make bench`, about three minutes.

Each part is measured in a process of its own, one after another. The last run is kept in bench/results/.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor

from bench import availability, booking, booking_growth, booking_handler, cold_start, deliveries, sync
from bench.table import COLUMNS, Row, heading, keep

PAGE_MS = {(6, 7): 2, (100, 30): 5, (1_000, 30): 15, (10_000, 30): 80}


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
    """Measure pages by size, read anew and kept, and against their SQL; and explaining."""
    found, explained = alone(availability.pages)
    for (coaches, days), page in found.items():
        note = f"{page['ms']:.2f} of {page['sql_ms']:.2f} ms"
        what = f"availability handler against its bare SQL, {coaches:,} x {days}, p50"
        yield Row(what, 1.5, page["ratio"], "times", note=note)
    for size, page in found.items():
        what = f"availability, {size[0]:,} coaches x {size[1]} days"
        yield Row(f"{what}, p50", PAGE_MS[size], page["ms"], "ms")
        yield Row(f"{what}, kept, p50", 2, page["kept_ms"], "ms")
        yield Row(f"{what}, kept, after 20 bookings, p50", 4, page["changed_ms"], "ms")
    for few, many in ((100, 1_000), (1_000, 10_000)):
        note = f"{explained[many]:.2f} of {explained[few]:.2f} ms"
        yield Row(
            f"explaining {many:,} coaches, of {few:,}",
            10,
            explained[many] / explained[few],
            "times",
            note=note,
        )


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
    for module, found in alone(cold_start.ratios).items():
        note = f"{found['ms']:.0f} of {found['imports_ms']:.0f} ms"
        name = module.partition(".")[0]
        yield Row(f"cold start of {name} against its imports", 1.3, found["ratio"], "times", note=note)


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
    for part in (of_booking, of_the_handler, of_availability, of_sync, of_cold_starts, of_dispatch):
        for row in part():
            print(row, flush=True)
            rows.append(row)
    keep(head, rows, time.monotonic() - begun)
    print(f"\n{time.monotonic() - begun:.0f} s; kept in bench/results/last.txt and last.json")


if __name__ == "__main__":
    main()
