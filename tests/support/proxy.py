"""A TCP proxy before Postgres that loses a request or its answer, as a network may."""

import socket
import struct
from contextlib import suppress
from typing import Literal

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.support.passing import Pair, PassingProxy

type Loss = Literal["request", "answer"]

# ReadyForQuery with the status "idle": the statement's transaction is over (Postgres, "Message Formats").
_COMMITTED = b"Z\x00\x00\x00\x05I"


class _Pair(Pair):
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


class Proxy(PassingProxy[_Pair]):
    """Passes bytes on between clients and the server at `url`."""

    def __init__(self, url: str) -> None:
        found = conninfo_to_dict(url)
        super().__init__((str(found["host"]), int(found["port"] or 0)), _Pair)
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

    def pass_requests(self, pair: _Pair) -> None:
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

    def pass_answers(self, pair: _Pair) -> None:
        """Pass on all until an answer is to be lost, and that one not."""
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
