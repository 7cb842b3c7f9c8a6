"""One execution environment: a process under `awslambdaric`, and the Runtime API that feeds it.

The process takes one invocation at a time, and the next one only when its extensions are done with the last.
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from uuid import uuid4

from aiohttp import web

from local import extensions_api
from local.logs import Log
from local.processes import die_with_parent, put_behind
from local.sqs import ACCOUNT, REGION

LARGEST_PAYLOAD = 6 * 1024 * 1024 + 100  # bytes, either way: Lambda's own limit for a synchronous invocation
_DRAIN_SECONDS = 1.0  # to read the last output of a process that has ended
_START_SECONDS = 20.0  # Lambda gives 10; a laptop starting nine functions at once is slower
_READ_SIZE = 65_536  # bytes at once
_API = "/2018-06-01/runtime/"


@dataclass(frozen=True)
class Answer:
    """The result of an invocation: JSON, and the kind of error if it failed."""

    payload: bytes
    error: str | None = None
    request_id: str = ""


def failure(kind: str, message: str, request_id: str = "") -> Answer:
    """Return the error that Lambda answers for a function that failed."""
    text = json.dumps({"errorType": kind, "errorMessage": message})
    return Answer(text.encode(), kind, request_id)


class GoneError(Exception):
    """The process ended before it got the event."""


class Sandbox:
    """One process of one function.

    `on_idle` is called whenever it and its extensions wait for an event, `on_end` once when its process has
    ended.
    """

    def __init__(
        self,
        handler: str,
        environment: Mapping[str, str],
        log: Log,
        *,
        behind: bool,
        on_idle: Callable[["Sandbox"], None],
        on_end: Callable[["Sandbox"], None],
    ) -> None:
        self._handler = handler
        self._environment = dict(environment)
        self._log = log
        self._behind = behind
        self._on_idle = on_idle
        self._on_end = on_end
        self._extensions = extensions_api.Extensions(
            environment, on_ready=self._offer_if_idle, on_failure=self._extension_failed
        )
        self._api = web.Server(self._serve, access_log=None, keepalive_timeout=3600)
        self._listener: asyncio.Server | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None
        self._stopping = False
        self._started: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._work: asyncio.Future[tuple[str, bytes, float]] | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._limit: asyncio.TimerHandle | None = None
        self._settled = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The process id, if it was started."""
        return self._process.pid if self._process else None

    async def start(self) -> Answer | None:
        """Start the process and wait until it asks for an event; return the failure if it does not."""
        loop = asyncio.get_running_loop()
        try:
            self._listener = await loop.create_server(self._api, "127.0.0.1", 0)
            self._process = await self._spawn(self._listener.sockets[0].getsockname()[1])
        except OSError as error:
            if self._listener is not None:
                self._listener.close()
            return failure("Runtime.ExitError", f"the process could not be started: {error}")
        self._listening = asyncio.create_task(self._listen(self._process))
        self._watcher = asyncio.create_task(self._watch(self._process))
        if self._stopping:
            self.kill()
        try:
            async with asyncio.timeout(_START_SECONDS):
                return await asyncio.shield(self._started)
        except TimeoutError:
            self.kill()
            return failure("Sandbox.Timedout", f"Init timed out after {_START_SECONDS:.0f} seconds")

    async def _spawn(self, port: int) -> asyncio.subprocess.Process:
        self._log.write(b"")  # the file exists from the start
        # A pipe, as on Lambda: if the function wrote to the file itself, a full disk would stop it.
        return await asyncio.create_subprocess_exec(
            *die_with_parent(signal.SIGKILL),
            *(sys.executable, "-m", "awslambdaric", self._handler),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**self._environment, "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}"},
            cwd=self._environment.get("LAMBDA_TASK_ROOT"),
            start_new_session=True,
        )

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """Log the output of the process."""
        if process.stdout is not None:
            while output := await process.stdout.read(_READ_SIZE):
                self._log.write(output)

    async def invoke(self, payload: bytes, seconds: float) -> Answer:
        """Give an event to the idle process; return its result, or how it failed.

        The limit of `seconds` holds for its extensions too, which may go on after the result.

        Raises:
            GoneError: the process ended before it got the event.

        """
        if self._work is None or self._work.done():
            raise GoneError
        request_id = str(uuid4())
        loop = asyncio.get_running_loop()
        self._answer = loop.create_future()
        self._settled.clear()
        self._limit = loop.call_later(seconds, self._time_out, request_id, seconds)
        self._work.set_result((request_id, payload, seconds))
        return await asyncio.shield(self._answer)

    def _time_out(self, request_id: str, seconds: float) -> None:
        message = f"RequestId: {request_id} Error: Task timed out after {seconds:.2f} seconds"
        if self._answer is not None and self._answer.done():
            self._log.line(json.dumps({"type": "platform.extension", "errorMessage": message}))
        self._resolve(failure("Sandbox.Timedout", message, request_id))
        self.kill()

    async def settled(self) -> None:
        """Return when nothing of the last invocation is left: the process is idle, or has ended."""
        await self._settled.wait()

    def kill(self) -> None:
        """Kill the process, as Lambda does at a timeout."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()

    async def stop(self) -> None:
        """Kill the process and wait for its end; one that is being started is killed once it has started."""
        self._stopping = True
        self.kill()
        if self._watcher is not None:
            await self._watcher

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Wait for the end of the process, then fail everything that waits for it."""
        code = await process.wait()
        if self._listening is not None:
            await asyncio.wait([self._listening], timeout=_DRAIN_SECONDS)
            self._listening.cancel()
        how = f"signal: {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        ended = failure("Runtime.ExitError", f"Runtime exited with error: {how}")
        if not self._started.done():
            self._started.set_result(ended)
        self._resolve(ended)
        if self._limit is not None:
            self._limit.cancel()
        if self._work is not None:
            self._work.cancel()
        self._extensions.end()
        self._settled.set()
        self._on_end(self)
        if self._listener is not None:
            self._listener.close()
        await self._api.shutdown(0)

    def _resolve(self, answer: Answer) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)

    def _offer_if_idle(self) -> None:
        """Make the process free for the next request once it and its extensions wait for an event."""
        if self._work is None or self._work.done() or not self._extensions.are_ready:
            return
        if self._limit is not None:
            self._limit.cancel()
        if not self._started.done():
            if self._behind and self._process is not None:
                put_behind(self._process.pid)  # not before: a start has a time limit
            self._started.set_result(None)
        self._settled.set()
        self._on_idle(self)

    def _extension_failed(self, kind: str) -> None:
        """Replace the process, as Lambda restarts the environment; an answer in the making is waited for."""
        if not self._started.done():
            message = f"an extension failed to start: {kind}"
            self._started.set_result(failure("Extension.InitError", message))
        if self._answer is None or self._answer.done():
            self.kill()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path.startswith(extensions_api.PREFIX):
            return await self._extensions.serve(request)
        action = request.path.removeprefix(_API)
        if action == "invocation/next":
            return await self._next()
        body = await request.content.read()
        if action == "init/error":
            if not self._started.done():
                self._started.set_result(Answer(body, "Runtime.InitError"))
            return _accepted()
        request_id, _, outcome = action.removeprefix("invocation/").partition("/")
        if self._answer is None or self._answer.done() or outcome not in {"response", "error"}:
            return web.json_response({"errorType": "InvalidRequestID"}, status=400)
        if len(body) > LARGEST_PAYLOAD:
            message = (
                f"Response payload size exceeded maximum allowed payload size ({LARGEST_PAYLOAD} bytes)."
            )
            self._resolve(failure("Function.ResponseSizeTooLarge", message, request_id))
            return web.json_response({"errorType": "RequestEntityTooLarge"}, status=413)
        self._resolve(Answer(body, "Unhandled" if outcome == "error" else None, request_id))
        if self._extensions.have_failed:
            self.kill()
        return _accepted()

    async def _next(self) -> web.StreamResponse:
        """Let the process wait until there is an event for it."""
        self._extensions.close()
        self._work = asyncio.get_running_loop().create_future()
        self._offer_if_idle()
        request_id, payload, seconds = await self._work
        now = time.time()
        deadline = int((now + seconds) * 1000)
        function = (
            f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self._environment['AWS_LAMBDA_FUNCTION_NAME']}"
        )
        trace = f"Root=1-{int(now):08x}-{request_id.replace('-', '')[:24]};Sampled=0"
        self._extensions.invoke(
            {
                "deadlineMs": deadline,
                "requestId": request_id,
                "invokedFunctionArn": function,
                "tracing": {"type": "X-Amzn-Trace-Id", "value": trace},
            }
        )
        return web.Response(
            body=payload,
            headers={
                "Content-Type": "application/json",
                "Lambda-Runtime-Aws-Request-Id": request_id,
                "Lambda-Runtime-Deadline-Ms": str(deadline),
                "Lambda-Runtime-Invoked-Function-Arn": function,
                "Lambda-Runtime-Trace-Id": trace,
            },
        )


def _accepted() -> web.Response:
    return web.json_response({"status": "OK"}, status=202)
