"""TCP proxies between clients and a server: one loses requests or answers, one makes a request wait."""

import queue
import socket
import struct
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal, Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

type Loss = Literal["request", "answer"]
type Where = Literal["request", "answer"]
# Which process of a function has the connection between these two ports; None where none has.
type Owner = Callable[[str, tuple[int, int]], int | None]


def postgres_has_answered(said: bytes) -> bool:
    """Tell whether a statement's answer is whole and its transaction over: ReadyForQuery, idle."""
    # Postgres, "Message Formats".
    return said.endswith(b"Z\x00\x00\x00\x05I")


def http_has_answered(said: bytes) -> bool:
    """Tell whether an answer has begun: its head is there once the work is done."""
    return b"\r\n\r\n" in said


class Pair:
    """A client's socket and the server's."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server

    def cut(self) -> None:
        """End both at once."""
        for one in (self.client, self.server):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


class PassingProxy[P: Pair](ABC):
    """Passes bytes on between clients and the server at `target`, host and port; a context manager."""

    def __init__(self, target: tuple[str, int], pair: type[P]) -> None:
        self._target = target
        self._pair = pair
        self._pairs: list[P] = []
        self._door = socket.create_server(("127.0.0.1", 0), backlog=256)

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._door.getsockname()[1]
        return port

    @abstractmethod
    def pass_requests(self, pair: P) -> None:
        """Pass on what a client sends."""

    @abstractmethod
    def pass_answers(self, pair: P) -> None:
        """Pass on what the server sends."""

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        for pair in self._pairs:
            pair.cut()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._door.accept()
                try:
                    server = socket.create_connection(self._target)
                except OSError:  # it is not there yet, or is no more
                    client.close()
                    continue
                pair = self._pair(client, server)
                self._pairs.append(pair)
                for passing in (self.pass_requests, self.pass_answers):
                    threading.Thread(target=passing, args=(pair,), daemon=True).start()


class _LossyPair(Pair):
    """`lost` once nothing more goes back."""

    lost: bool = False

    def cut(self) -> None:
        """End both at once: the client's by a reset, as when the other end is gone."""
        with suppress(OSError):
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for one in (self.client, self.server):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RD)
            one.close()


class LossyProxy(PassingProxy[_LossyPair]):
    """Passes bytes on between clients and the server at `url`."""

    def __init__(self, url: str) -> None:
        found = conninfo_to_dict(url)
        super().__init__((str(found["host"]), int(found["port"] or 0)), _LossyPair)
        self.cuts = 0
        self._url = url
        self._losses: list[tuple[Loss, bytes]] = []

    @property
    def through(self) -> str:
        """The address of the same database through the proxy; not encrypted, so that it can be read."""
        return make_conninfo(self._url, port=self.port, sslmode="disable", gssencmode="disable")

    def lose(self, what: Loss, marker: bytes, times: int = 1) -> None:
        """Cut the connection of the next requests that contain the marker.

        A lost request never comes to the server. A lost answer leaves the server after the commit, and none
        of it comes to the client.
        """
        self._losses += [(what, marker)] * times

    def pass_requests(self, pair: _LossyPair) -> None:
        """Pass on all but what is to be lost."""
        with suppress(OSError):
            while data := pair.client.recv(65_536):
                match self._loss_of(data):
                    case "request":
                        self._cut(pair)
                        return
                    case "answer":
                        pair.lost = True
                pair.server.sendall(data)
            pair.server.shutdown(socket.SHUT_WR)

    def pass_answers(self, pair: _LossyPair) -> None:
        """Pass on all until an answer is to be lost, and that one not."""
        unread = b""
        with suppress(OSError):
            while data := pair.server.recv(65_536):
                if not pair.lost:
                    pair.client.sendall(data)
                    continue
                unread += data
                if postgres_has_answered(unread):
                    self._cut(pair)
                    return
            pair.client.shutdown(socket.SHUT_WR)

    def _loss_of(self, data: bytes) -> Loss | None:
        for loss in self._losses:
            if loss[1] in data:
                self._losses.remove(loss)
                return loss[0]
        return None

    def _cut(self, pair: _LossyPair) -> None:
        self.cuts += 1
        pair.cut()


@dataclass(frozen=True)
class Halt:
    """The request with all `markers` in it, of a process of `function`; it or its answer goes no further."""

    where: Where
    function: str
    markers: Sequence[bytes]


@dataclass(frozen=True, eq=False)
class _Halting:
    """A halt that has not ended: whom it has stopped, and whether they may go on."""

    halt: Halt
    halted: queue.SimpleQueue[int] = field(default_factory=queue.SimpleQueue)
    go_on: threading.Event = field(default_factory=threading.Event)


class _HaltingPair(Pair):
    """What was asked since the last answer, and who is kept waiting by what."""

    asked: bytes = b""
    pid: int | None = None
    halting: _Halting | None = None


class HaltingProxy(PassingProxy[_HaltingPair]):
    """Passes bytes on between clients and the loopback port `target`."""

    def __init__(self, target: int, has_answered: Callable[[bytes], bool], owner: Owner) -> None:
        super().__init__(("127.0.0.1", target), _HaltingPair)
        self._has_answered = has_answered
        self._owner = owner
        self._coming: list[_Halting] = []
        self._lock = threading.Lock()

    @contextmanager
    def halting(self, halt: Halt) -> Iterator[Callable[[float], int]]:
        """Keep the first such request; yields what waits for it, so many seconds, and tells whose it is.

        At the end the connection is cut: what was kept never arrives. Several may be waited for at once.
        """
        one = _Halting(halt)
        with self._lock:
            self._coming.append(one)
        try:
            yield lambda seconds: one.halted.get(timeout=seconds)
        finally:
            with self._lock:
                self._coming = [other for other in self._coming if other is not one]
            one.go_on.set()

    def pass_requests(self, pair: _HaltingPair) -> None:
        """Pass on all up to the request that is to be halted."""
        with suppress(OSError):
            while data := pair.client.recv(65_536):
                pair.asked += data
                one = self._take_halt(pair)
                if one is not None and one.halt.where == "request":
                    self._stop(pair, one)
                    return
                pair.server.sendall(data)
            pair.server.shutdown(socket.SHUT_WR)

    def pass_answers(self, pair: _HaltingPair) -> None:
        """Pass on all up to the answer that is to be halted."""
        kept = b""
        with suppress(OSError):
            while data := pair.server.recv(65_536):
                if pair.halting is None:
                    pair.asked = b""
                    pair.client.sendall(data)
                    continue
                kept += data
                if self._has_answered(kept):
                    self._stop(pair, pair.halting)
                    return
            pair.client.shutdown(socket.SHUT_WR)

    def _take_halt(self, pair: _HaltingPair) -> _Halting | None:
        """Return what this connection is to be halted for, and nobody else from then on."""
        with self._lock:
            if pair.halting is not None:
                return None
            for one in self._coming:
                if all(marker in pair.asked for marker in one.halt.markers):
                    pair.pid = self._owner(one.halt.function, (pair.client.getpeername()[1], self.port))
                    if pair.pid is not None:
                        self._coming.remove(one)
                        pair.halting = one
                        return one
            return None

    def _stop(self, pair: _HaltingPair, one: _Halting) -> None:
        assert pair.pid is not None
        one.halted.put(pair.pid)
        one.go_on.wait()
        pair.cut()
