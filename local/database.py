"""Migrates the database and loads the demo data, with the same programs as everywhere."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import psycopg

from fairslot.access import first_key
from fairslot.platform import db
from fairslot.platform.migrate import BEFORE_BASELINE_CODE
from local.function_env import PYTHONPATH
from local.processes import StartError, die_with_parent

# `local.demo` checks this too; checking here first saves half a second.
_HAS_COACHES = "SELECT EXISTS (SELECT FROM coaches)"


async def prepare(url: str, log: Path, *, data: Path | None, demo: bool = True) -> str:
    """Migrate the database at `url`, load the demo data if it is empty, and return what was done.

    Without `demo` a database without keys gets an admin key, which is only in what is returned. `data` is the
    folder that the database is in, None if the caller gave its address.

    Raises:
        StartError: one of the two failed.

    """
    lines = await _run("fairslot.platform.migrate", url, log, {BEFORE_BASELINE_CODE: _too_old(data)})
    applied = [line.removeprefix("applied ") for line in lines if line.startswith("applied ")]
    done = f"applied {', '.join(applied)}" if applied else "up to date"
    if not demo:
        made = await asyncio.to_thread(_make_key, url)
        return f"{done}; made the admin key {made}, which is not shown again" if made else done
    if await asyncio.to_thread(_has_coaches, url):
        return done
    await _run("local.demo", url, log)
    return f"{done}; loaded the demo data"


def _too_old(data: Path | None) -> str:
    if data is None:
        return (
            "the data at DATABASE_URL is of an earlier version of Fairslot and cannot be carried over;"
            " give an empty database"
        )
    return (
        f"the data in {data} is of an earlier version of Fairslot and cannot be carried over;"
        f" remove it (rm -r {data}) or give another FAIRSLOT_DATA"
    )


def _has_coaches(url: str) -> bool:
    with psycopg.connect(url) as connection:
        row = connection.execute(_HAS_COACHES).fetchone()
    return bool(row and row[0])


def _make_key(url: str) -> str | None:
    """Give a database without keys an admin key and the partners, and return the key."""
    with db.connect(url) as connection:
        return first_key.make(connection)


async def _run(module: str, url: str, log: Path, meanings: Mapping[int, str] | None = None) -> list[str]:
    """Run a module and return the lines that it printed; `meanings` explain its exit codes."""
    process = await asyncio.create_subprocess_exec(
        *die_with_parent(signal.SIGKILL),
        *(sys.executable, "-m", module),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": PYTHONPATH, "DATABASE_URL": url},
        start_new_session=True,
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    text = output.decode("utf-8", "replace")
    with log.open("a", encoding="utf-8") as file:
        file.write(text)
    if process.returncode:
        if meanings and process.returncode in meanings:
            raise StartError(meanings[process.returncode])
        raise StartError(f"python -m {module} ended with code {process.returncode}", log)
    return text.splitlines()
