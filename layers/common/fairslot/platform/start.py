"""The start of a function's process."""

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Import what is inside without looking for garbage: imports make 100,000 objects that all stay.

    That is about a fifteenth of a cold start. The objects are left out of later searches, too.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def before_snapshot(work: Callable[[], None]) -> None:
    """Have work done once before AWS takes a snapshot of the process (SnapStart); without one do nothing.

    https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-python.html
    """
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") != "snap-start":
        return
    from snapshot_restore_py import register_before_snapshot  # the runtime's own

    register_before_snapshot(work)
