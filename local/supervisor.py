"""Starts everything in the local stack in order, and stops it in reverse order."""

import asyncio
import fcntl
import json
import os
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from local import database, dependencies, function_env, health, lost_messages
from local.calendar_standins import CalendarStandins
from local.cloudformation import TemplateError
from local.functions import Functions
from local.lambda_api import LambdaApi
from local.logs import Log
from local.partner import Partner
from local.postgres import EmbeddedPostgres
from local.processes import Program, StartError, check_port, write_private
from local.queue_client import QueueClient, QueueError
from local.sqs import SqsStandIn
from local.stack_options import StackOptions
from local.template import Template
from local.valkey import EmbeddedValkey


class Supervisor:
    """One local stack on one data directory; `say` prints a program's name and what happened to it."""

    def __init__(self, options: StackOptions, say: dependencies.Say) -> None:
        self._options = options
        self._say = say
        self._data = options.data
        self._logs = options.data / "logs"
        self._log = Log(self._logs / "stack.log", self._warn)
        self._state_file = options.data / "stack.json"
        self._stops = AsyncExitStack()
        self._sqs = SqsStandIn(options.data)
        self._replaceable: dict[str, Program] = {}  # by the variable that gives another one's address
        self._calendars = CalendarStandins(
            options.calendars, options.standin_ports, options.data / "partners", self._logs
        )
        self._queues = QueueClient(self._sqs.url)
        self._lambda = LambdaApi()
        self._resending: set[asyncio.Task[None]] = set()
        self._lock_file: TextIO | None = None
        # Set by `start`.
        self._template: Template
        self._running: Functions
        self._url: str

    async def start(self) -> str:
        """Start everything, print each step and return the address; call `stop` after a failure too.

        Raises:
            StartError: a step failed.

        """
        self._open_data()
        check_port(self._options.port)
        self._say("data", f"in {_short(self._data)}, logs in {_short(self._logs)}")
        try:
            template = Template(function_env.ROOT / "template.yaml", self._options.environment, self._sqs.url)
            self._choose_programs()
            await dependencies.start(self._programs, self._stops, self._say)
            for alias in template.key_aliases:
                await asyncio.to_thread(self._sqs.make_key, alias)
            self._stops.push_async_callback(self._lambda.stop)
            await self._lambda.start()
            functions = self._functions(template)
        except TemplateError as error:
            raise StartError(str(error)) from error
        self._template, self._running = template, functions
        await self._prepare_database(functions)
        await self._serve_queues()
        self._url = await self._serve_http(functions)
        self._resend_lost()
        scheduler = functions.scheduler()
        self._stops.push_async_callback(scheduler.stop)
        scheduler.start()
        await health.wait(self._url, template, self._logs)
        self._write_state()
        return self._url

    async def watch(self) -> None:
        """Keep the programs running; never returns.

        Raises:
            StartError: one ended and could not be restarted.

        """
        await dependencies.watch(self._programs, self._say, self._prepare_restarted)

    async def stop(self) -> None:
        """Stop everything that was started, the last first; does nothing if nothing was."""
        if self._lock_file is None:
            return
        try:
            with suppress(OSError):
                self._state_file.unlink(missing_ok=True)
            await self._stops.aclose()
        finally:
            self._lock_file.close()

    @property
    def _programs(self) -> dict[str, Program]:
        programs = (*self._replaceable.values(), *self._calendars.programs.values(), self._sqs)
        return {program.log.stem: program for program in programs}

    def _open_data(self) -> None:
        """Make the data directory if it is missing, and lock it for this stack."""
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
            owner = lock.read().strip()
            lock.close()
            raise StartError(
                f"{_short(self._data)} is in use by another local stack (process {owner}); "
                "stop that one, or set FAIRSLOT_DATA and PORT for this one"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock_file = lock

    def _choose_programs(self) -> None:
        """Choose what to start here: everything that the environment gives no address of."""
        data, options = self._data, self._options
        partners = data / "partners"
        choices: dict[str, Program] = {
            "DATABASE_URL": EmbeddedPostgres(data),
            "REDIS_URL": EmbeddedValkey(data),
            "CALENDAR_API_URL": Partner("calendar_api", options.calendar_port, partners, self._logs),
            "CRM_WEBHOOK_URL": Partner("crm", options.crm_port, partners, self._logs),
        }
        self._replaceable = {name: one for name, one in choices.items() if options.address(name) is None}

    def _addresses(self) -> dict[str, str]:
        """Return the addresses of everything that the functions talk to, and that of this stack."""
        names = (
            "DATABASE_URL",
            "REDIS_URL",
            "CALENDAR_API_URL",
            "CRM_WEBHOOK_URL",
            "AUTH_SERVICE_URL",
            "PUBLIC_URL",
        )
        own = {name: program.url for name, program in self._replaceable.items()}
        own["PUBLIC_URL"] = f"http://127.0.0.1:{self._options.port}"
        given = {name: address for name in names if (address := self._options.address(name))}
        return own | given

    def _functions_addresses(self) -> dict[str, str]:
        """Return the same as the functions use it: they are not the database's owner."""
        addresses, postgres = self._addresses(), self._replaceable.get("DATABASE_URL")
        own = f"http://127.0.0.1:{self._options.port}"
        addresses["PUSH_URL"] = self._options.address("PUSH_URL") or own
        if isinstance(postgres, EmbeddedPostgres):
            addresses["DATABASE_URL"] = postgres.functions_url()
        return addresses | self._calendars.settings

    def _functions(self, template: Template) -> Functions:
        environments = {
            name: function_env.variables(
                function,
                template,
                addresses=self._functions_addresses(),
                caller=self._options.environment,
                services=self._sqs.environment,
                functions=self._lambda.environment,
                data=self._data,
            )
            for name, function in template.functions.items()
        }
        functions = Functions(
            template,
            environments,
            self._logs,
            http_processes=self._options.http_processes,
            queue_processes=self._options.queue_processes,
            log=self._log_line,
            warn=self._warn,
        )
        self._stops.push_async_callback(functions.stop)
        self._lambda.functions = functions.pools
        return functions

    async def _prepare_database(self, functions: Functions) -> None:
        """Prepare the database while the first functions start; they connect only when they are used."""
        data = None if self._options.address("DATABASE_URL") else self._data
        done, _ = await asyncio.gather(
            database.prepare(
                self._addresses()["DATABASE_URL"],
                self._logs / "migrate.log",
                data=data,
                demo=self._options.demo,
            ),
            functions.warm(),
        )
        self._say("database", done)
        await self._make_demo_coaches()

    async def _make_demo_coaches(self) -> None:
        """Give the demo coaches their accounts at the stand-ins, which have forgotten them."""
        if self._calendars.programs:
            environment = {
                **os.environ,
                **self._sqs.environment,
                "DATABASE_URL": self._addresses()["DATABASE_URL"],
                "WEBHOOK_KMS_KEY_ID": self._template.key_aliases[0],
            }
            self._say("calendars", await asyncio.to_thread(self._calendars.make_coaches, environment))

    async def _make_queues(self) -> None:
        """Make the queues, or set the template's attributes of those that exist."""
        try:
            # The dead-letter queue that a redrive policy names must exist before it.
            for queue in sorted(self._template.queues.values(), key=lambda one: one.dead_letters is not None):
                await self._queues.create(queue.name, queue.attributes)
        except QueueError as error:
            raise StartError(f"the queues could not be made: {error}", self._sqs.log) from error

    async def _serve_queues(self) -> None:
        self._stops.push_async_callback(self._queues.close)
        await self._make_queues()
        self._running.poll(self._queues, self._stops)
        count = sum(len(function.queues) for function in self._template.functions.values())
        self._say("queues", f"{count} are polled")

    async def _prepare_restarted(self, name: str) -> None:
        if name == self._sqs.log.stem:  # it has lost what it had not saved
            await self._make_queues()
            self._resend_lost()
        if name in {program.log.stem for program in self._calendars.programs.values()}:
            await self._make_demo_coaches()
        self._write_state()

    def _resend_lost(self) -> None:
        """Send again, in the background, the messages that were on the queues when they were killed."""
        if self._sqs.lost_before is not None:
            work = lost_messages.resend(
                self._addresses()["DATABASE_URL"],
                before=self._sqs.lost_before,
                sweep=self._running.sweep,
                log=self._log_line,
            )
            task = asyncio.create_task(work)
            self._resending.add(task)
            task.add_done_callback(self._resending.discard)
            self._stops.callback(task.cancel)

    async def _serve_http(self, functions: Functions) -> str:
        gateway = functions.gateway(self._options.port)
        self._stops.push_async_callback(gateway.stop)
        try:
            await gateway.start()
        except OSError as error:
            raise StartError(f"cannot listen on port {self._options.port}: {error.strerror}") from error
        return gateway.url

    def _log_line(self, text: str) -> None:
        """Log what is expected to happen now and then, such as a retry."""
        self._log.line(f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {text}")

    def _warn(self, text: str) -> None:
        """Print what should not happen."""
        self._say("trouble", text)

    def _write_state(self) -> None:
        """Write where everything is, for tests and people; the file holds passwords."""
        addresses = self._addresses()
        state: dict[str, Any] = {
            "pid": os.getpid(),
            "gateway": self._url,
            "database_url": addresses["DATABASE_URL"],
            "functions_database_url": self._functions_addresses()["DATABASE_URL"],
            "redis_url": addresses["REDIS_URL"],
            "partners": {
                "calendar_api": addresses["CALENDAR_API_URL"],
                "crm": addresses["CRM_WEBHOOK_URL"],
                "auth": addresses.get("AUTH_SERVICE_URL"),
            },
            "calendars": self._calendars.urls,
            "sqs_endpoint": self._sqs.url,
            "queues": {name: self._template.queue_url(name) for name in self._template.queues},
            "pids": {name: program.pid for name, program in self._programs.items()},
            "functions": {name: pool.pids for name, pool in self._running.pools.items()},
            "logs": str(self._logs),
        }
        write_private(self._state_file, json.dumps(state, indent=2) + "\n")


def _short(path: Path) -> str:
    """Return a path relative to the current folder where it is inside it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
