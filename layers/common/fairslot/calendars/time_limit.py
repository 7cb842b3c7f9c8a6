"""A time limit for calculations whose length untrusted data decides."""

import ctypes
import threading
from collections.abc import Callable

# Raised where an object is finalized, it is reported and lost: then it is raised again.
AGAIN_SECONDS = 0.25


class TookTooLongError(BaseException):
    """The calculation was stopped. Not an Exception, so that no handler inside of it catches it."""


def within[T](seconds: float, work: Callable[[], T]) -> T:
    """Return what `work` returns, or raise TookTooLongError in it after so many seconds.

    Only Python code is stopped, not one long call into C, so `work` must not wait for anything. Other ways
    fail: a recurrence rule that never occurs yields no value at which a clock could be checked, and
    signals reach only the main thread.
    """
    guard = threading.Lock()
    thread = ctypes.c_ulong(threading.get_ident())
    over = threading.Event()

    def stop() -> None:
        pause = seconds
        while not over.wait(pause):
            with guard:
                if not over.is_set():
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(TookTooLongError))
            pause = AGAIN_SECONDS

    def end() -> None:
        with guard:
            over.set()

    timer = threading.Thread(target=stop, daemon=True)
    try:
        try:
            timer.start()
            return work()
        finally:
            end()
    finally:
        end()  # where the first one was stopped itself; that is too long ago for this one to be
