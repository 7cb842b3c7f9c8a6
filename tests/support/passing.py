"""What TCP proxies of tests share: they accept, connect and pass on; what becomes of the bytes each says."""

import socket
import threading
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Self


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
