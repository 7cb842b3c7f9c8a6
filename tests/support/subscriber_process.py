"""Subscribers as customers run them, good and bad: one process, one path a subscriber, a line for each event.

    python -m tests.support.subscriber_process FOLDER

A path is the behaviour and a name, `/ok/a`. These verify the signature with the public library and the
secret that FOLDER/secrets has for the name, write the name, the event's id and version and the time to
FOLDER/taken and answer: `ok`; `flaky`, after it answered 500 twice to each third event; and `busy`, after two
seconds in which it answers 429 with Retry-After and writes to FOLDER/refused. The others never take an
event: they hang, drip, send gigabytes, cut the connection (`reset`), answer `error` at once or are `gone` for
good, with 410.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

BUSY_SECONDS = 2
_TAKERS = {"ok", "flaky", "busy"}


@dataclass(frozen=True)
class Subscribers:
    """Where they are and what they took."""

    url: str
    folder: Path

    @property
    def file(self) -> Path:
        """The lines of what was taken, each with the name first."""
        return self.folder / "taken"

    def learn(self, name: str, secret: str) -> None:
        """Give one of them the secret that its events are signed by."""
        with (self.folder / "secrets").open("a", encoding="utf-8") as known:
            known.write(f"{name} {secret}\n")

    def taken(self, name: str | None = None) -> list[tuple[str, str, int]]:
        """Return name, event and version of all that was taken, in its order, repetitions included."""
        lines = map(str.split, self.file.read_text("utf-8").splitlines())
        return [(who, event, int(version)) for who, event, version, _ in lines if name in {None, who}]

    def asked(self, name: str) -> list[tuple[str, float]]:
        """Return event and time, in seconds, of each request that one refused or took."""
        text = self.file.read_text("utf-8") + (self.folder / "refused").read_text("utf-8")
        lines = map(str.split, text.splitlines())
        return sorted(
            ((line[1], float(line[-1])) for line in lines if line[0] == name), key=lambda one: one[1]
        )


@contextmanager
def subscribers(folder: Path) -> Iterator[Subscribers]:
    """Run the process."""
    folder.mkdir()
    for name in ("secrets", "taken", "refused"):
        (folder / name).touch()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.subscriber_process", str(folder)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield Subscribers(f"http://127.0.0.1:{process.stdout.readline().strip()}", folder)
    finally:
        process.kill()
        process.communicate()


class _Server:
    """Answers requests as their paths say."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taken = (folder / "taken").open("a", buffering=1, encoding="utf-8")
        self._refused = (folder / "refused").open("a", buffering=1, encoding="utf-8")
        self._tries: Counter[tuple[str, str]] = Counter()
        self._events: Counter[str] = Counter()
        self._flaky: set[tuple[str, str]] = set()
        self._busy_until: dict[str, float] = {}
        self._webhook = cache(self._webhook_of)

    async def serve(self) -> None:
        """Say on which port, and answer without end."""
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0, backlog=1_000)
        print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201  # whoever started it reads it
        await server.serve_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            pairs = (line.split(": ", 1) for line in head[1:] if line)
            headers = {name.lower(): value for name, value in pairs}
            body = await reader.readexactly(int(headers["content-length"]))
            _, behaviour, name = head[0].split(" ")[1].split("/")
            if behaviour in _TAKERS:
                writer.write(self._take(behaviour, name, headers, body))
            else:
                await _misbehave(behaviour, writer)
            await writer.drain()
        writer.close()

    def _take(self, behaviour: str, name: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """Take an event, or say why not."""
        id_, now = headers["webhook-id"], time.monotonic()
        self._tries[name, id_] += 1
        if self._tries[name, id_] == 1:
            self._events[name] += 1
            if behaviour == "flaky" and self._events[name] % 3 == 1:
                self._flaky.add((name, id_))
        if (name, id_) in self._flaky and self._tries[name, id_] < 3:
            return _response("500 Oops", "{}")
        if behaviour == "busy" and now < self._busy_until.setdefault(name, now + BUSY_SECONDS):
            self._refused.write(f"{name} {id_} {now}\n")
            return _response("429 Not now", "{}", f"Retry-After: {BUSY_SECONDS}")
        try:
            event = self._webhook(name).verify(body, dict(headers))
        except WebhookVerificationError as error:
            return _response("401 Not from you", json.dumps({"error": str(error)}))
        self._taken.write(f"{name} {id_} {event['version']} {now}\n")
        return _response("200 OK", json.dumps({"taken_by": name}))

    def _webhook_of(self, name: str) -> Webhook:
        known = dict(map(str.split, (self._folder / "secrets").read_text("utf-8").splitlines()))
        return Webhook(known[name])


def _response(status: str, body: str, *headers: str) -> bytes:
    about = ("Connection: close", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers)
    return "\r\n".join([f"HTTP/1.1 {status}", *about, "", body]).encode()


async def _misbehave(behaviour: str, writer: asyncio.StreamWriter) -> None:
    if behaviour == "gone":
        writer.write(_response("410 Gone", "{}"))
        return
    if behaviour == "error":
        writer.write(_response("500 Oops", "{}"))
        return
    if behaviour == "reset":
        writer.transport.abort()
    elif behaviour == "hang":
        await asyncio.sleep(3_600)
    writer.write(_response("200 OK", "").replace(b"Length: 0", b"Length: 9000000000"))
    while not writer.is_closing():
        writer.write(b" " if behaviour == "drip" else b"[" * 1_000_000)
        await writer.drain()
        await asyncio.sleep(0.05 if behaviour == "drip" else 0)


if __name__ == "__main__":
    sys.exit(asyncio.run(_Server(Path(sys.argv[1])).serve()))
