"""Requests from several processes at once, each a sandbox of its own as on Lambda."""

import importlib
import logging
import multiprocessing
import os
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.http import Answer, send
from tests.support.lambda_context import context

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.synchronize import Barrier

_context = multiprocessing.get_context("forkserver")
# With what the functions import late: processes are made by the dozen here.
_context.set_forkserver_preload(
    [
        "tests.support.http",
        "booking.app",
        "availability.app",
        "boto3",
        "aws_lambda_powertools.utilities.idempotency.persistence.cache",
    ]
)


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


def logged(calls: Sequence[tuple[str, dict[str, Any]]], log: Path) -> list[Any]:
    """Call handlers, by module, with events in a process of its own; all that it says goes into `log`.

    Returns what they return, or the name of what they raise: that the runtime would log with its text.
    """
    with _processes(1) as pool:
        return list(pool.submit(_call_all, calls, log).result())


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


def _call_all(calls: Sequence[tuple[str, dict[str, Any]]], log: Path) -> list[Any]:
    with log.open("ab", buffering=0) as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    # As Lambda's runtime does it: every library's log, from INFO on.
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    returned = []
    for module, event in calls:
        try:
            returned.append(importlib.import_module(module).lambda_handler(event, context()))
        except Exception as error:  # noqa: BLE001 - as the runtime does it
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            returned.append(type(error).__name__)
    sys.stdout.flush()
    sys.stderr.flush()
    return returned
