"""What every stand-in shares: its command line, its port, its little database and its errors."""

import argparse
import asyncio
import errno
import signal
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

HOST = "127.0.0.1"
type Build = Callable[[Path], web.Application]


def main(build: Build, *, port: int, description: str) -> None:
    """Serve the application that `build` makes for --data, until SIGINT or SIGTERM.

    Prints `listening on 127.0.0.1:PORT` when requests are taken. A port in use (or port 0) is
    exchanged for a free one.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, default=port)
    parser.add_argument("--data", type=Path, required=True, help="the directory that keeps the state")
    arguments = parser.parse_args()
    arguments.data.mkdir(parents=True, exist_ok=True)
    asyncio.run(_serve(build(arguments.data), arguments.port))


async def _serve(app: web.Application, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, HOST, port).start()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            await web.TCPSite(runner, HOST, 0).start()
        print(f"listening on {HOST}:{runner.addresses[0][1]}", flush=True)
        await stop.wait()
    finally:
        await runner.cleanup()


def open_database(path: Path, schema: str) -> sqlite3.Connection:
    """Open (or make) the database of a stand-in; each statement commits by itself."""
    database = sqlite3.connect(path, isolation_level=None)
    database.row_factory = sqlite3.Row
    database.executescript(f"PRAGMA journal_mode = wal; PRAGMA synchronous = normal; {schema}")
    return database


async def json_object(request: web.Request) -> dict[str, Any]:
    """Return the body as a JSON object; 400 when it is none."""
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise problem(web.HTTPBadRequest, "The body must be a JSON object")
    return body


def whole_number(request: web.Request, name: str, default: int, highest: int) -> int:
    """Return a query parameter from 1 to `highest`; 400 when it is something else."""
    text = request.query.get(name, str(default))
    if not (text.isdecimal() and 1 <= int(text) <= highest):
        raise problem(web.HTTPBadRequest, f"{name} must be a whole number from 1 to {highest}")
    return int(text)


def problem(kind: type[web.HTTPException], message: str) -> web.HTTPException:
    """Return the answer that says what was wrong, as the partners say it."""
    return kind(text=f'{{"error": "{message}"}}', content_type="application/json")


def rfc3339(instant: datetime) -> str:
    """Write an instant in UTC, ending in Z."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def now() -> str:
    """Write this instant."""
    return rfc3339(datetime.now(UTC))
