"""A TCP proxy that lets everything through up to one request of one process, and keeps that one waiting."""

import queue
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

from tests.support.passing import Pair, PassingProxy

type Where = Literal["request", "answer"]
# Which process of a function has the connection between these two ports; None where none has.
type Owner = Callable[[str, tuple[int, int]], int | None]


def postgres_has_answered(said: bytes) -> bool:
    """Tell whether a statement's answer is whole and its transaction over: ReadyForQuery, idle."""
    return said.endswith(b"Z\x00\x00\x00\x05I")


def http_has_answered(said: bytes) -> bool:
    """Tell whether an answer has begun: its head is there once the work is done."""
    return b"\r\n\r\n" in said


@dataclass(frozen=True)
class Halt:
    """The request with all `markers` in it, of a process of `function`; it or its answer goes no further."""

    where: Where
    function: str
    markers: Sequence[bytes]


class _Pair(Pair):
    """What was asked since the last answer, and who is kept waiting."""

    asked: bytes = b""
    pid: int | None = None


class HaltingProxy(PassingProxy[_Pair]):
    """Passes bytes on between clients and the loopback port `target`."""

    def __init__(self, target: int, has_answered: Callable[[bytes], bool], owner: Owner) -> None:
        super().__init__(("127.0.0.1", target), _Pair)
        self._has_answered = has_answered
        self._owner = owner
        self._halt: Halt | None = None
        self._halted: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._go_on = threading.Event()
        self._lock = threading.Lock()

    @contextmanager
    def halting(self, halt: Halt) -> Iterator[Callable[[float], int]]:
        """Keep the first such request; yields what waits for it, so many seconds, and tells whose it is.

        At the end the connection is cut: what was kept never arrives.
        """
        self._go_on.clear()
        self._halt = halt
        try:
            yield lambda seconds: self._halted.get(timeout=seconds)
        finally:
            self._halt = None
            self._go_on.set()

    def __exit__(self, *given: object) -> None:
        self._go_on.set()
        super().__exit__(*given)

    def pass_requests(self, pair: _Pair) -> None:
        """Pass on all up to the request that is to be halted."""
        with suppress(OSError):
            while data := pair.client.recv(65_536):
                pair.asked += data
                halt = self._take_halt(pair)
                if halt is not None and halt.where == "request":
                    self._stop(pair)
                    return
                pair.server.sendall(data)
            pair.server.shutdown(socket.SHUT_WR)

    def pass_answers(self, pair: _Pair) -> None:
        """Pass on all up to the answer that is to be halted."""
        kept = b""
        with suppress(OSError):
            while data := pair.server.recv(65_536):
                if pair.pid is None:
                    pair.asked = b""
                    pair.client.sendall(data)
                    continue
                kept += data
                if self._has_answered(kept):
                    self._stop(pair)
                    return
            pair.client.shutdown(socket.SHUT_WR)

    def _take_halt(self, pair: _Pair) -> Halt | None:
        """Return what this connection is to be halted for, and nobody else from then on."""
        with self._lock:
            halt = self._halt
            if halt is None or not all(marker in pair.asked for marker in halt.markers):
                return None
            pair.pid = self._owner(halt.function, (pair.client.getpeername()[1], self.port))
            if pair.pid is None:
                return None
            self._halt = None
            return halt

    def _stop(self, pair: _Pair) -> None:
        assert pair.pid is not None
        self._halted.put(pair.pid)
        self._go_on.wait()
        pair.cut()
