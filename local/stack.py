"""The whole system on this machine: `python -m local.stack`, or `make run`.

Starts Postgres, Valkey, the queues and the partners' stand-ins where their addresses are not
given, migrates, and runs the functions of `template.yaml` behind an HTTP front. Ctrl-C stops it.

Environment: PORT (3000), FAIRSLOT_DATA (.data), CALENDAR_PORT (3001), CRM_PORT (3002),
HTTP_PROCESSES (4) and QUEUE_PROCESSES (12), the most of one function; DATABASE_URL, REDIS_URL,
CALENDAR_API_URL, CRM_WEBHOOK_URL and AUTH_SERVICE_URL, used where given; and every setting of
`fairslot/platform/settings.py`.
"""

import asyncio
import os
import signal
import sys
import time
import traceback
from contextlib import suppress

from local.processes import StartError, tail
from local.stack_options import OptionError, Options
from local.supervisor import Supervisor


def say(name: str, text: str) -> None:
    """Tell the terminal something of a part, if there still is one."""
    _print(f"{name:<13} {text}")


def _print(line: str) -> None:
    with suppress(OSError):
        print(line, flush=True)


async def run(options: Options) -> int:
    """Run a stack until a signal comes, or until it fails; return the exit code."""
    began = time.monotonic()
    supervisor = Supervisor(options, say)
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, _on_signal, asked)

    async def live() -> None:
        url = await supervisor.start()
        _print(f"ready {url} ({time.monotonic() - began:.1f} s), Ctrl-C stops it")
        await supervisor.watch()

    life, waiting = asyncio.create_task(live()), asyncio.create_task(asked.wait())
    await asyncio.wait({life, waiting}, return_when=asyncio.FIRST_COMPLETED)
    failed = life.done()
    if failed:
        _explain(life.exception())
    else:
        _print("stopping")
    for task in (life, waiting):
        task.cancel()
    await asyncio.gather(life, waiting, return_exceptions=True)
    await supervisor.stop()
    return 1 if failed else 0


def _on_signal(asked: asyncio.Event) -> None:
    if asked.is_set():
        _print("stopping at once")
        os._exit(1)  # the kernel ends the children, Postgres and the queues in good order
    asked.set()


def _explain(error: BaseException | None) -> None:
    """Say why it failed, with the end of the log that tells more."""
    if not isinstance(error, StartError):
        traceback.print_exception(error)
        return
    print(f"failed: {error}", file=sys.stderr)
    if error.log is not None:
        print(f"the end of {error.log}:\n{tail(error.log)}", file=sys.stderr)


def main() -> int:
    """Run the stack that the environment describes; return the exit code."""
    try:
        options = Options.read(os.environ)
    except OptionError as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    return asyncio.run(run(options))


if __name__ == "__main__":
    sys.exit(main())
