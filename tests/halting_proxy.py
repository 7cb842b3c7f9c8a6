"""A TCP proxy that lets everything through up to one request of one process, and keeps that one waiting."""

import queue
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal, Self

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


@dataclass
class _Pair:
    client: socket.socket
    server: socket.socket
    asked: bytes = b""
    pid: int | None = None

    def cut(self) -> None:
        for one in (self.client, self.server):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@dataclass
class HaltingProxy:
    """Passes bytes on between clients and the loopback port `target`; a context manager."""

    target: int
    has_answered: Callable[[bytes], bool]
    owner: Owner
    _halt: Halt | None = None
    _halted: queue.SimpleQueue[int] = field(default_factory=queue.SimpleQueue)
    _go_on: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _pairs: list[_Pair] = field(default_factory=list)
    _door: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0), backlog=256))

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._door.getsockname()[1]
        return port

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

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self._go_on.set()
        for pair in self._pairs:
            pair.cut()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._door.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self.target))
                except OSError:  # it is not there yet, or is no more
                    client.close()
                    continue
                pair = _Pair(client, server)
                self._pairs.append(pair)
                for passing in (self._pass_requests, self._pass_answers):
                    threading.Thread(target=passing, args=(pair,), daemon=True).start()

    def _pass_requests(self, pair: _Pair) -> None:
        with suppress(OSError):
            while data := pair.client.recv(65_536):
                pair.asked += data
                halt = self._take_halt(pair)
                if halt is not None and halt.where == "request":
                    self._stop(pair)
                    return
                pair.server.sendall(data)
            pair.server.shutdown(socket.SHUT_WR)

    def _pass_answers(self, pair: _Pair) -> None:
        kept = b""
        with suppress(OSError):
            while data := pair.server.recv(65_536):
                if pair.pid is None:
                    pair.asked = b""
                    pair.client.sendall(data)
                    continue
                kept += data
                if self.has_answered(kept):
                    self._stop(pair)
                    return
            pair.client.shutdown(socket.SHUT_WR)

    def _take_halt(self, pair: _Pair) -> Halt | None:
        """Return what this connection is to be halted for, and nobody else from then on."""
        with self._lock:
            halt = self._halt
            if halt is None or not all(marker in pair.asked for marker in halt.markers):
                return None
            pair.pid = self.owner(halt.function, (pair.client.getpeername()[1], self.port))
            if pair.pid is None:
                return None
            self._halt = None
            return halt

    def _stop(self, pair: _Pair) -> None:
        assert pair.pid is not None
        self._halted.put(pair.pid)
        self._go_on.wait()
        pair.cut()
