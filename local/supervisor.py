"""Starts all parts of the local stack in their order, and stops them in the reverse of it."""

import asyncio
import fcntl
import json
import os
import socket
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TextIO

from local import database, dependencies, function_env, health, lost
from local.cloudformation import TemplateError
from local.functions import Functions
from local.logs import Log
from local.partner import Partner
from local.postgres import EmbeddedPostgres
from local.processes import Program, StartError, write_private
from local.queue_client import QueueClient, QueueError
from local.sqs import SqsStandIn
from local.stack_options import Options
from local.template import Template
from local.valkey import EmbeddedValkey


class Supervisor:
    """One local stack on one data directory; `say` tells a person the name of a part and what of it."""

    def __init__(self, options: Options, say: dependencies.Say) -> None:
        self._options = options
        self._say = say
        self._data = options.data
        self._logs = options.data / "logs"
        self._log = Log(self._logs / "stack.log", self._tell)
        self._state = options.data / "stack.json"
        self._stops = AsyncExitStack()
        self._sqs = SqsStandIn(options.data)
        self._own: dict[str, Program] = {}  # by the variable that would name another one
        self._queues = QueueClient(self._sqs.url)
        self._template: Template | None = None
        self._recovering: set[asyncio.Task[None]] = set()
        self._recover: partial[None] | None = None
        self._lock_file: TextIO | None = None

    async def start(self) -> str:
        """Start everything, say each step and return the address; `stop` after a failure too.

        Raises:
            StartError: a step failed.

        """
        self._claim()
        _check_port(self._options.port)
        self._say("data", f"in {_short(self._data)}, logs in {_short(self._logs)}")
        try:
            self._template = template = Template(
                function_env.ROOT / "template.yaml", self._options.caller, self._sqs.url
            )
            self._choose_own()
            await dependencies.start(self._parts, self._stops, self._say)
            for alias in template.key_aliases:
                await asyncio.to_thread(self._sqs.make_key, alias)
            addresses = self._addresses()
            functions = self._functions(template, addresses)
        except TemplateError as error:
            raise StartError(str(error)) from error
        await self._prepare(functions, addresses["DATABASE_URL"])
        await self._serve_queues(template, functions)
        url = await self._serve_http(functions)
        self._recover = partial(self._send_lost_again, functions, addresses["DATABASE_URL"])
        self._recover()
        scheduler = functions.scheduler()
        self._stops.push_async_callback(scheduler.stop)
        scheduler.start()
        await health.wait(url, template, self._logs)
        self._write_state(url, template, addresses, functions)
        return url

    async def watch(self) -> None:
        """Keep the parts running; never returns.

        Raises:
            StartError: a part ended and does not come back.

        """

        async def prepare(name: str) -> None:
            if name == self._sqs.log.stem and self._template:  # it forgets what it did not come to save
                await self._make_queues(self._template)
                if self._recover:
                    self._recover()

        await dependencies.watch(self._parts, self._say, prepare)

    async def stop(self) -> None:
        """Stop all that was started, the last first; harmless where nothing was."""
        if self._lock_file is None:
            return
        self._state.unlink(missing_ok=True)
        try:
            await self._stops.aclose()
        finally:
            self._lock_file.close()

    @property
    def _parts(self) -> dict[str, Program]:
        return {part.log.stem: part for part in (*self._own.values(), self._sqs)}

    def _claim(self) -> None:
        """Make the data directory where it is missing, and take it for this stack."""
        try:
            self._logs.mkdir(parents=True, exist_ok=True)
            self._lock()
        except OSError as error:
            raise StartError(
                f"cannot use {_short(self._data)} for the data: {error.strerror} ({error.filename}); "
                "set FAIRSLOT_DATA to a directory that can be written"
            ) from error

    def _lock(self) -> None:
        """Keep a second stack off this data; the lock goes with the process."""
        lock = (self._data / "lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            who = lock.read().strip()
            lock.close()
            raise StartError(
                f"a local stack (process {who}) is running on {_short(self._data)} already; "
                "give this one a FAIRSLOT_DATA and a PORT of its own"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock_file = lock

    def _choose_own(self) -> None:
        """Choose what is started here: what the caller gives no address of."""
        data, options = self._data, self._options
        partners = data / "partners"
        choices: dict[str, Program] = {
            "DATABASE_URL": EmbeddedPostgres(data),
            "REDIS_URL": EmbeddedValkey(data),
            "CALENDAR_API_URL": Partner("calendar_api", options.calendar_port, partners, self._logs),
            "CRM_WEBHOOK_URL": Partner("crm", options.crm_port, partners, self._logs),
        }
        self._own = {name: part for name, part in choices.items() if options.given(name) is None}

    def _addresses(self) -> dict[str, str]:
        """Return the addresses of all that the functions talk to."""
        names = ("DATABASE_URL", "REDIS_URL", "CALENDAR_API_URL", "CRM_WEBHOOK_URL", "AUTH_SERVICE_URL")
        own = {name: part.url for name, part in self._own.items()}
        given = {name: address for name in names if (address := self._options.given(name))}
        return own | given

    def _functions(self, template: Template, addresses: dict[str, str]) -> Functions:
        environments = {
            name: function_env.of_function(
                function,
                template,
                addresses=addresses,
                caller=self._options.caller,
                sqs=self._sqs.environment,
                data=self._data,
            )
            for name, function in template.functions.items()
        }
        functions = Functions(
            template,
            environments,
            self._logs,
            processes=self._options.processes,
            note=self._note,
            tell=self._tell,
        )
        self._stops.push_async_callback(functions.stop)
        return functions

    async def _prepare(self, functions: Functions, database_url: str) -> None:
        """Prepare the database while the first functions start; they connect only when they are used."""
        data = None if self._options.given("DATABASE_URL") else self._data
        done, _ = await asyncio.gather(
            database.prepare(database_url, self._logs / "migrate.log", data=data), functions.warm()
        )
        self._say("database", done)

    async def _make_queues(self, template: Template) -> None:
        """Make the queues, or give those that are there the template's attributes."""
        try:
            # What a redrive policy names must be there before it.
            for queue in sorted(template.queues.values(), key=lambda one: one.dead_letters is not None):
                await self._queues.create(queue.name, queue.attributes)
        except QueueError as error:
            raise StartError(str(error), self._sqs.log) from error

    async def _serve_queues(self, template: Template, functions: Functions) -> None:
        self._stops.push_async_callback(self._queues.close)
        await self._make_queues(template)
        functions.poll(self._queues, self._stops)
        self._say("queues", f"polling {sum(len(one.queues) for one in template.functions.values())}")

    def _send_lost_again(self, functions: Functions, database_url: str) -> None:
        """Have sent again, in the background, what was on the queues when they were killed."""
        if self._sqs.lost_before is not None:
            work = lost.send_again(
                database_url, before=self._sqs.lost_before, sweep=functions.sweep, note=self._note
            )
            task = asyncio.create_task(work)
            self._recovering.add(task)
            task.add_done_callback(self._recovering.discard)
            self._stops.callback(task.cancel)

    async def _serve_http(self, functions: Functions) -> str:
        gateway = functions.gateway(self._options.port)
        self._stops.push_async_callback(gateway.stop)
        try:
            await gateway.start()
        except OSError as error:
            raise StartError(f"cannot listen on port {self._options.port}: {error.strerror}") from error
        return gateway.url

    def _note(self, text: str) -> None:
        """Write down what is no person's concern while it runs."""
        self._log.line(f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {text}")

    def _tell(self, text: str) -> None:
        """Tell a person what should not happen."""
        self._say("trouble", text)

    def _write_state(
        self, url: str, template: Template, addresses: dict[str, str], functions: Functions
    ) -> None:
        """Say where everything is, for tests and people; it holds passwords."""
        state = {
            "pid": os.getpid(),
            "gateway": url,
            "database_url": addresses["DATABASE_URL"],
            "redis_url": addresses["REDIS_URL"],
            "partners": {
                "calendar_api": addresses["CALENDAR_API_URL"],
                "crm": addresses["CRM_WEBHOOK_URL"],
                "auth": addresses.get("AUTH_SERVICE_URL"),
            },
            "sqs_endpoint": self._sqs.url,
            "queues": {name: template.queue_url(name) for name in template.queues},
            "pids": {name: part.pid for name, part in self._parts.items()},
            "functions": {name: pool.pids for name, pool in functions.pools.items()},
            "logs": str(self._logs),
        }
        write_private(self._state, json.dumps(state, indent=2) + "\n")


def _check_port(port: int) -> None:
    """Find out at once, and not after seconds, that the front's port is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise StartError(f"port {port}: {error.strerror}; choose another with PORT=…") from error


def _short(path: Path) -> str:
    """Return a path as a person would write it from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
