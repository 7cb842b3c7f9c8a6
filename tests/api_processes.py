"""Requests from several processes at once, each a sandbox of its own as on Lambda."""

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.gateway_events import Answer, send

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.synchronize import Barrier

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.gateway_events", "booking.app", "availability.app"])


class _Gate:
    """Where the requests of a process wait for those of the others."""

    barrier: "Barrier | None" = None


def at_once(requests: Sequence[Sequence[dict[str, Any]]]) -> list[list[Answer]]:
    """Send each list of requests from a process of its own, all beginning at the same moment."""
    with _processes(len(requests)) as pool:
        return [list(answers) for answers in pool.map(_send_all, requests)]


@contextmanager
def elsewhere(request: dict[str, Any]) -> "Iterator[tuple[Future[list[Answer]], int]]":
    """Send one request from another process; gives its answer to come and the process's id."""
    with _processes(1) as pool:
        pid = pool.submit(os.getpid).result()
        yield pool.submit(_send_all, [request]), pid


@contextmanager
def _processes(count: int) -> "Iterator[ProcessPoolExecutor]":
    barrier = _context.Barrier(count)
    with ProcessPoolExecutor(
        count, mp_context=_context, initializer=_begin, initargs=(dict(os.environ), barrier)
    ) as pool:
        yield pool


def _begin(environment: dict[str, str], barrier: "Barrier") -> None:
    os.environ.clear()
    os.environ.update(environment)
    _Gate.barrier = barrier


def _send_all(requests: Sequence[dict[str, Any]]) -> list[Answer]:
    if _Gate.barrier is not None:
        _Gate.barrier.wait(30)
    return [send(request) for request in requests]
