"""A time limit for calculations whose length untrusted data decides."""

import ctypes
import threading
from collections.abc import Callable


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
    is_over = False

    def stop() -> None:
        with guard:
            if not is_over:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(TookTooLongError))

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        return work()
    finally:
        with guard:
            is_over = True
        timer.cancel()
