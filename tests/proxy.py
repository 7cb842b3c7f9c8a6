"""A TCP proxy before Postgres that loses a request or its answer, as a network may."""

import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

type Loss = Literal["request", "answer"]

# ReadyForQuery with the status "idle": the statement's transaction is over (Postgres, "Message Formats").
_COMMITTED = b"Z\x00\x00\x00\x05I"


@dataclass
class _Pair:
    """A client's socket and the server's; `lost` once nothing more goes back."""

    client: socket.socket
    server: socket.socket
    lost: bool = False

    def cut(self) -> None:
        """End both at once: the client's by a reset, as when the other end is gone."""
        with suppress(OSError):
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for one in (self.client, self.server):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RD)
            one.close()


@dataclass
class Proxy:
    """Passes bytes on between clients and the server at `url`; a context manager."""

    url: str
    cuts: int = 0
    _losses: list[tuple[Loss, bytes]] = field(default_factory=list)
    _pairs: list[_Pair] = field(default_factory=list)
    _door: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def through(self) -> str:
        """The address of the same database through the proxy; not encrypted, so that it can be read."""
        return make_conninfo(
            self.url, port=self._door.getsockname()[1], sslmode="disable", gssencmode="disable"
        )

    def lose(self, what: Loss, marker: bytes, times: int = 1) -> None:
        """Cut the connection of the next requests that contain the marker.

        A lost request never comes to the server. A lost answer leaves the server after the commit, and none
        of it comes to the client.
        """
        self._losses += [(what, marker)] * times

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        for pair in self._pairs:
            pair.cut()

    def _serve(self) -> None:
        target = conninfo_to_dict(self.url)
        with suppress(OSError):
            while True:
                client, _ = self._door.accept()
                server = socket.create_connection((str(target["host"]), int(target["port"] or 0)))
                pair = _Pair(client, server)
                self._pairs.append(pair)
                for passing in (self._pass_requests, self._pass_answers):
                    threading.Thread(target=passing, args=(pair,), daemon=True).start()

    def _pass_requests(self, pair: _Pair) -> None:
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

    def _pass_answers(self, pair: _Pair) -> None:
        unread = b""
        with suppress(OSError):
            while data := pair.server.recv(65_536):
                if not pair.lost:
                    pair.client.sendall(data)
                    continue
                unread += data
                if unread.endswith(_COMMITTED):
                    self._cut(pair)
                    return
            pair.client.shutdown(socket.SHUT_WR)

    def _loss_of(self, data: bytes) -> Loss | None:
        for loss in self._losses:
            if loss[1] in data:
                self._losses.remove(loss)
                return loss[0]
        return None

    def _cut(self, pair: _Pair) -> None:
        self.cuts += 1
        pair.cut()
