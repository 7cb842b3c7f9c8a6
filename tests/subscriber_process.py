"""Subscribers as customers run them, good and bad: one process, one path a subscriber, a line for each event.

    python -m tests.subscriber_process FILE SECRET

A path is the behaviour and a name, `/ok/a`: `ok` verifies the signature with the public library, writes the
name, the event's id and version to FILE and answers; `flaky` first answers 500 twice to each event.
The others never take an event: they hang, drip, send gigabytes or cut the connection.
"""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from standardwebhooks.webhooks import Webhook

_HEAD = b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Type: application/json\r\n"


@dataclass(frozen=True)
class Subscribers:
    """Where they are and what they took."""

    url: str
    file: Path

    def taken(self) -> list[tuple[str, str, int]]:
        """Return name, event and version of all that was taken, in its order, repetitions included."""
        lines = self.file.read_text("utf-8").splitlines()
        return [(name, event, int(version)) for name, event, version in map(str.split, lines)]


@contextmanager
def subscribers(file: Path, secret: str) -> Iterator[Subscribers]:
    """Run the process."""
    file.touch()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.subscriber_process", str(file), secret],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield Subscribers(f"http://127.0.0.1:{process.stdout.readline().strip()}", file)
    finally:
        process.kill()
        process.communicate()


async def _serve(file: Path, secret: str) -> None:
    webhook = Webhook(secret)
    tries: Counter[tuple[str, str]] = Counter()
    with file.open("a", buffering=1, encoding="utf-8") as taken:

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError, asyncio.IncompleteReadError):
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
                original = dict(line.split(": ", 1) for line in head[1:] if line)
                body = await reader.readexactly(int(headers["content-length"]))
                _, behaviour, name = head[0].split(" ")[1].split("/")
                tries[name, headers["webhook-id"]] += 1
                if behaviour == "flaky" and tries[name, headers["webhook-id"]] < 3:
                    writer.write(_HEAD % b"500 Oops" + b"Content-Length: 0\r\n\r\n")
                elif behaviour in {"ok", "flaky"}:
                    event = webhook.verify(body, {key.lower(): value for key, value in original.items()})
                    taken.write(f"{name} {headers['webhook-id']} {event['version']}\n")
                    writer.write(_HEAD % b"200 OK" + b"Content-Length: 2\r\n\r\n{}")
                else:
                    await _misbehave(behaviour, writer)
                await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1_000)
        print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201  # whoever started it reads it
        await server.serve_forever()


async def _misbehave(behaviour: str, writer: asyncio.StreamWriter) -> None:
    if behaviour == "reset":
        writer.transport.abort()
    elif behaviour == "hang":
        await asyncio.sleep(3_600)
    writer.write(_HEAD % b"200 OK" + b"Content-Length: 9000000000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" " if behaviour == "drip" else b"[" * 1_000_000)
        await writer.drain()
        await asyncio.sleep(0.05 if behaviour == "drip" else 0)


if __name__ == "__main__":
    sys.exit(asyncio.run(_serve(Path(sys.argv[1]), sys.argv[2])))
