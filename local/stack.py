"""The whole system on this machine: `make run`, which sets PYTHONPATH and runs `python -m local.stack`.

Starts the queues, and Postgres, Valkey, the calendar API and the CRM unless the environment gives their
addresses; migrates the database, loads the demo data into an empty one, and serves the functions of
`template.yaml` over HTTP, from the queues and on schedule. A program that ends is restarted. Ctrl-C stops it.

Environment, with defaults:
    PORT (3000), CALENDAR_PORT (3001), CRM_PORT (3002)
    FAIRSLOT_DATA (.data): the directory of data, logs and stack.json, which says where everything is
    CALENDARS: kinds of calendars, of `google,microsoft,caldav`, whose stand-ins are started, each with a demo
        coach on it; that of CalDAV is a real server, Radicale
    GOOGLE_PORT (3003), MICROSOFT_PORT (3004), CALDAV_PORT (3005)
    FAIRSLOT_DEMO: `none` for an empty database with an admin key, which is printed once
    HTTP_PROCESSES (4), QUEUE_PROCESSES (12): the most processes of one function
    DATABASE_URL, REDIS_URL, CALENDAR_API_URL, CRM_WEBHOOK_URL: used instead of starting these
    AUTH_SERVICE_URL, and every setting of `fairslot/platform/settings.py`
"""

import asyncio
import os
import signal
import sys
import time
import traceback
from contextlib import suppress

from local.processes import StartError, tail
from local.stack_options import OptionError, StackOptions
from local.supervisor import Supervisor


def say(name: str, text: str) -> None:
    """Print on the terminal something of a part, if there still is one."""
    _print(f"{name:<13} {text}")


def _print(line: str) -> None:
    with suppress(OSError):
        print(line, flush=True)


async def run(options: StackOptions) -> int:
    """Run a stack until a signal or a failure; return the exit code."""
    began = time.monotonic()
    supervisor = Supervisor(options, say)
    stop_requested = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, _on_signal, stop_requested)

    async def live() -> None:
        url = await supervisor.start()
        _print(f"ready {url} ({time.monotonic() - began:.1f} s); Ctrl-C stops it")
        await supervisor.watch()

    life, waiting = asyncio.create_task(live()), asyncio.create_task(stop_requested.wait())
    await asyncio.wait({life, waiting}, return_when=asyncio.FIRST_COMPLETED)
    failed = life.done()
    if failed:
        _explain(life.exception())
    else:
        _print("stopping (Ctrl-C again stops at once)")
    for task in (life, waiting):
        task.cancel()
    await asyncio.gather(life, waiting, return_exceptions=True)
    await supervisor.stop()
    return 1 if failed else 0


def _on_signal(stop_requested: asyncio.Event) -> None:
    if stop_requested.is_set():
        _print("stopping now")
        os._exit(1)  # the kernel signals the children; Postgres and the queues shut down cleanly
    stop_requested.set()


def _explain(error: BaseException | None) -> None:
    """Print why it failed, with the end of the log."""
    if not isinstance(error, StartError | OSError):
        traceback.print_exception(error)
        return
    print(f"failed: {error}", file=sys.stderr)
    if isinstance(error, StartError) and error.log is not None:
        print(f"the end of {error.log}:\n{tail(error.log)}", file=sys.stderr)


def main() -> int:
    """Run the stack that the environment describes; return the exit code."""
    try:
        options = StackOptions.from_environment(os.environ)
    except OptionError as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    return asyncio.run(run(options))


if __name__ == "__main__":
    sys.exit(main())
