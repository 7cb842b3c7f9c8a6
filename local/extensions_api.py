"""The Extensions API of one execution environment, for extensions that run in the function's process.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html; the kinds of errors are those of
AWS's runtime interface emulator.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any
from uuid import UUID, uuid4

from aiohttp import web

from local.sqs import ACCOUNT

PREFIX = "/2020-01-01/extension/"
MOST = 10
_EVENTS = {"INVOKE", "SHUTDOWN"}
_IDENTIFIER = "Lambda-Extension-Identifier"
_ERROR_TYPE = "Lambda-Extension-Function-Error-Type"


class _State(Enum):
    REGISTERED = "Registered"
    READY = "Ready"  # waits for its next event
    RUNNING = "Running"
    FAILED = "Failed"


class _RefusedError(Exception):
    """A call is answered with 403 and this kind of error."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(eq=False)
class _Extension:
    """One extension and the event that it waits for."""

    name: str
    events: frozenset[str]
    state: _State = _State.REGISTERED
    event: "asyncio.Future[dict[str, Any]] | None" = None


class Extensions:
    """The extensions of one process; `environment` names the function.

    `on_ready` is called when one begins to wait for its next event, `on_failure` with the kind of error when
    one reports that it has failed.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        on_ready: Callable[[], None],
        on_failure: Callable[[str], None],
    ) -> None:
        self._environment = environment
        self._on_ready = on_ready
        self._on_failure = on_failure
        self._all: dict[UUID, _Extension] = {}
        self._is_open = True

    @property
    def are_ready(self) -> bool:
        """Whether every extension waits for its next event."""
        return all(one.state is _State.READY for one in self._all.values())

    @property
    def have_failed(self) -> bool:
        """Whether one has reported an error; Lambda then restarts the environment."""
        return any(one.state is _State.FAILED for one in self._all.values())

    def close(self) -> None:
        """Accept no more registrations: the runtime has asked for its first event."""
        self._is_open = False

    def invoke(self, event: Mapping[str, Any]) -> None:
        """Give the event of an invocation to those that registered for it."""
        for one in self._all.values():
            if "INVOKE" in one.events and one.event is not None:
                one.state = _State.RUNNING
                one.event.set_result({"eventType": "INVOKE", **event})
                one.event = None

    def end(self) -> None:
        """End every call that waits for an event: the process has ended."""
        for one in self._all.values():
            if one.event is not None:
                one.event.cancel()

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a call of the API."""
        routes = {
            ("POST", "register"): self._register,
            ("GET", "event/next"): self._next,
            ("POST", "init/error"): self._fail,
            ("POST", "exit/error"): self._fail,
        }
        route = routes.get((request.method, request.path.removeprefix(PREFIX)))
        if route is None:
            return web.Response(status=404)
        try:
            return await route(request)
        except _RefusedError as error:
            return web.json_response({"errorType": error.kind, "errorMessage": str(error)}, status=403)

    async def _register(self, request: web.BaseRequest) -> web.StreamResponse:
        name = request.headers.get("Lambda-Extension-Name", "")
        if not name:
            raise _RefusedError("Extension.InvalidExtensionName", "Empty extension name")
        events = _events(await request.content.read())
        if not self._is_open:
            raise _RefusedError("Extension.RegistrationClosed", "Extension registration closed already")
        if len(self._all) >= MOST:
            raise _RefusedError("Extension.TooManyExtensions", f"Extension limit ({MOST}) reached")
        if any(one.name == name for one in self._all.values()):
            raise _RefusedError(
                "Extension.InvalidExtensionState", "Extension with this name already registered"
            )
        identifier = uuid4()
        self._all[identifier] = _Extension(name, events)
        about = {
            "functionName": self._environment.get("AWS_LAMBDA_FUNCTION_NAME", ""),
            "functionVersion": self._environment.get("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            "handler": self._environment.get("_HANDLER", ""),
        }
        wanted = request.headers.get("Lambda-Extension-Accept-Feature", "").split(",")
        if "accountId" in (one.strip() for one in wanted):
            about["accountId"] = ACCOUNT
        return web.json_response(about, headers={_IDENTIFIER: str(identifier)})

    async def _next(self, request: web.BaseRequest) -> web.StreamResponse:
        """Let the extension wait until there is an event for it."""
        extension = self._known(request)
        if extension.state not in {_State.REGISTERED, _State.RUNNING}:
            raise _wrong_state(extension, _State.READY)
        extension.state = _State.READY
        waiting = extension.event = asyncio.get_running_loop().create_future()
        self._on_ready()
        event = await waiting
        identifiers = {_IDENTIFIER: request.headers[_IDENTIFIER]}
        return web.json_response(
            event, headers={**identifiers, "Lambda-Extension-Event-Identifier": str(uuid4())}
        )

    async def _fail(self, request: web.BaseRequest) -> web.StreamResponse:
        """Note that the extension has failed while starting (init) or later (exit)."""
        extension = self._known(request)
        kind = request.headers.get(_ERROR_TYPE)
        if not kind:
            raise _RefusedError("Extension.MissingHeader", f"{_ERROR_TYPE} not found")
        is_late = request.path.endswith("init/error") and extension.state is not _State.REGISTERED
        if extension.state is _State.FAILED or is_late:
            raise _wrong_state(extension, _State.FAILED)
        extension.state, waiting, extension.event = _State.FAILED, extension.event, None
        if waiting is not None:
            waiting.cancel()
        self._on_failure(kind)
        return web.json_response({"status": "OK"}, status=202)

    def _known(self, request: web.BaseRequest) -> _Extension:
        given = request.headers.get(_IDENTIFIER, "")
        if not given:
            raise _RefusedError("Extension.MissingExtensionIdentifier", f"Missing {_IDENTIFIER} header")
        try:
            identifier = UUID(given)
        except ValueError:
            raise _RefusedError("Extension.InvalidExtensionIdentifier", f"Invalid {_IDENTIFIER}") from None
        if identifier not in self._all:
            raise _RefusedError("Extension.UnknownExtensionIdentifier", f"Unknown extension {given}")
        return self._all[identifier]


def _events(body: bytes) -> frozenset[str]:
    """Return the events that an extension registers for; one in the function's process gets no SHUTDOWN."""
    try:
        asked = json.loads(body or b"{}")
        events = asked.get("events") or []
        unknown = [one for one in events if one not in _EVENTS]
    except (ValueError, TypeError, AttributeError) as error:
        raise _RefusedError("InvalidRequestFormat", str(error)) from error
    if unknown:
        raise _RefusedError("Extension.InvalidEventType", f"{unknown[0]}: unknown event")
    if "SHUTDOWN" in events:
        raise _RefusedError("Extension.InvalidEventType", "SHUTDOWN: not for internal extensions")
    return frozenset(events)


def _wrong_state(extension: _Extension, wanted: _State) -> _RefusedError:
    return _RefusedError(
        "Extension.InvalidExtensionState",
        f"State transition from {extension.state.value} to {wanted.value} failed for {extension.name}",
    )
