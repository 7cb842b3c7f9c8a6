"""What the stand-ins share: command line, port, SQLite database and errors."""

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

    Prints `listening on 127.0.0.1:PORT` when it is ready; a free port if the given one is in use or 0.
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
    """Open the database of a stand-in, made if missing; each statement commits by itself."""
    database = sqlite3.connect(path, isolation_level=None)
    database.row_factory = sqlite3.Row
    database.executescript(f"PRAGMA journal_mode = wal; PRAGMA synchronous = normal; {schema}")
    return database


async def json_object(request: web.Request) -> dict[str, Any]:
    """Return the body as a JSON object; 400 if it is not one."""
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise problem(web.HTTPBadRequest, "The body must be a JSON object")
    return body


def whole_number(request: web.Request, name: str, default: int, highest: int) -> int:
    """Return a query parameter from 1 to `highest`; 400 if it is invalid."""
    text = request.query.get(name, str(default))
    if not (text.isdecimal() and 1 <= int(text) <= highest):
        raise problem(web.HTTPBadRequest, f"{name} must be a whole number from 1 to {highest}")
    return int(text)


def problem(kind: type[web.HTTPException], message: str) -> web.HTTPException:
    """Return an error response in the partners' format."""
    return kind(text=f'{{"error": "{message}"}}', content_type="application/json")


def rfc3339(instant: datetime) -> str:
    """Format an instant in UTC, ending in Z."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def now() -> str:
    """Return the current time in that format."""
    return rfc3339(datetime.now(UTC))
