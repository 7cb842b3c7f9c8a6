"""What stands before a real server as AWS's own endpoint does: it ends TLS and asks for a token of IAM."""

import asyncio
import random
import threading
from abc import ABC, abstractmethod
from contextlib import suppress

from tests.standin.authority import Authority

_CHUNK = 65_536
_TRIES = 100


class RefusedError(Exception):
    """The client is not let in; the text is what it is told, in the server's protocol."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(answer)
        self.answer = answer


class Door(ABC):
    """An endpoint at a loopback address of its own, in a thread of its own."""

    # Whether a connection begins with TLS, and not with a question for it.
    begins_with_tls = True

    def __init__(self, authority: Authority, port: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name=type(self).__name__)
        self._thread.start()
        self.port = port
        self.address = asyncio.run_coroutine_threadsafe(self._open(authority), self._loop).result()

    def close(self) -> None:
        """Let nobody in any more."""
        self._loop.call_soon_threadsafe(self._server.close)

    @abstractmethod
    async def enter(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Let a client in and return its connection to the real server. Raises RefusedError."""

    async def _open(self, authority: Authority) -> str:
        """Listen at the port of an address where nobody else does: all of 127.0.0.0/8 is this machine."""
        for _ in range(_TRIES):
            address = ".".join(("127", *(str(random.randint(1, 254)) for _ in range(3))))  # noqa: S311
            self.context = authority.context(address)
            safe = self.context if self.begins_with_tls else None
            with suppress(OSError):
                self._server = await asyncio.start_server(self._serve, address, self.port, ssl=safe)
                return address
        raise OSError(f"port {self.port} is taken at {_TRIES} loopback addresses")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            try:
                server_reader, server_writer = await self.enter(reader, writer)
            except RefusedError as refused:
                writer.write(refused.answer)
                await writer.drain()
            else:
                await asyncio.gather(_pump(reader, server_writer), _pump(server_reader, writer))
        writer.close()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Pass on what comes until it ends, then end the other side."""
    with suppress(OSError):
        while data := await source.read(_CHUNK):
            target.write(data)
            await target.drain()
    target.close()
