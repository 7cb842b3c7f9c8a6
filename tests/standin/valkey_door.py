"""The endpoint of a serverless cache that lets in by IAM: https://valkey.io/topics/protocol/."""

import asyncio
from collections.abc import Callable

from tests.standin.authority import Authority
from tests.standin.doors import Door, RefusedError

# Returns the password of a user on the real server; None where the token does not let it in.
type PasswordOf = Callable[[str, str], str | None]


class ValkeyDoor(Door):
    """Before the server at 127.0.0.1 and `backend`."""

    def __init__(self, authority: Authority, *, port: int, backend: int, password_of: PasswordOf) -> None:
        self._backend = backend
        self._password_of = password_of
        super().__init__(authority, port)

    async def enter(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Have the first command log in, with the password in place of the token."""
        words = await _command(reader)
        place = next((at for at, word in enumerate(words) if word.upper() == b"AUTH"), None)
        if place is None or len(words) < place + 3:
            raise RefusedError(b"-NOAUTH Authentication required.\r\n")
        user, token = (word.decode() for word in words[place + 1 : place + 3])
        password = await asyncio.to_thread(self._password_of, user, token)
        if password is None:
            raise RefusedError(b"-WRONGPASS invalid username-password pair or user is disabled.\r\n")
        words[place + 2] = password.encode()
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._backend)
        server_writer.write(command(*words))
        return server_reader, server_writer


async def _command(reader: asyncio.StreamReader) -> list[bytes]:
    words = []
    for _ in range(int((await reader.readuntil(b"\r\n"))[1:])):
        length = int((await reader.readuntil(b"\r\n"))[1:])
        words.append((await reader.readexactly(length + 2))[:-2])
    return words


def command(*words: bytes) -> bytes:
    """Return a command as it is sent."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
