"""A bound on how long a calculation may take that a stranger's data decides about."""

import ctypes
import threading
from collections.abc import Callable


class TookTooLongError(BaseException):
    """The calculation was stopped. No Exception, so that no handler inside of it takes it for its own."""


def within[T](seconds: float, work: Callable[[], T]) -> T:
    """Return what `work` returns, or raise TookTooLongError in it after so many seconds.

    Only Python code is stopped, not one long call into C, so `work` must not wait for anything. There
    is no kinder way: a recurrence rule that never occurs yields nothing between two steps at which a
    clock could be looked at, and a signal reaches the main thread alone.
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
