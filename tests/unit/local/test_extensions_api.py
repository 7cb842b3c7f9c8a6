"""The local Extensions API against what AWS documents of its own."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from aiohttp import web

from local.extensions_api import MOST, Extensions

pytestmark = pytest.mark.anyio

EVENT = {"deadlineMs": 676051, "requestId": "3da1f2dc-3222-475e-9205-e2e6c6318895"}
FATAL = {"Lambda-Extension-Function-Error-Type": "Fatal.ConnectFailed"}


@pytest.fixture
def anyio_backend() -> str:
    """Asyncio is what the stack runs on."""
    return "asyncio"


class Api:
    """The API over HTTP, with what it tells the environment."""

    def __init__(self) -> None:
        environment = {"AWS_LAMBDA_FUNCTION_NAME": "helloWorld", "_HANDLER": "lambda_function.lambda_handler"}
        self.failures: list[str] = []
        self.readied = asyncio.Semaphore(0)
        self.extensions = Extensions(
            environment, on_ready=self.readied.release, on_failure=self.failures.append
        )
        self.session: aiohttp.ClientSession

    def is_ready(self) -> bool:
        """Return whether every extension waits."""
        return self.extensions.are_ready

    def has_failed(self) -> bool:
        """Return whether one has failed."""
        return self.extensions.have_failed

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any, Any]:
        """Return status, body and headers of a call; names of headers are written with underscores."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {f"Lambda-Extension-{name.replace('_', '-')}": value for name, value in headers.items()}
        async with self.session.request(method, f"extension/{path}", data=data, headers=sent) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None, answer.headers

    async def register(self, name: str = "tried", events: Any = ("INVOKE",), **headers: str) -> str:
        """Register an extension and return its identifier."""
        status, _, answered = await self.call("POST", "register", {"events": events}, Name=name, **headers)
        assert status == 200
        return str(UUID(answered["Lambda-Extension-Identifier"]))

    async def refused(self, method: str, path: str, body: object = None, **headers: str) -> str:
        """Make a call that must be refused and return the kind of error."""
        status, problem, _ = await self.call(method, path, body, **headers)
        assert (status, set(problem)) == (403, {"errorType", "errorMessage"})
        return str(problem["errorType"])

    async def wait(self, identifier: str) -> "asyncio.Task[tuple[int, Any, Any]]":
        """Ask for the next event, and return once the API knows."""
        task = asyncio.create_task(self.call("GET", "event/next", Identifier=identifier))
        await asyncio.wait_for(self.readied.acquire(), 10)
        return task


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    """An API without extensions."""
    made = Api()
    runner = web.ServerRunner(web.Server(made.extensions.serve))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    async with aiohttp.ClientSession(f"http://{host}:{port}/2020-01-01/") as made.session:
        yield made
    made.extensions.end()
    await runner.cleanup()


async def test_registering_tells_the_function_and_gives_an_identifier(api: Api) -> None:
    """The account only to those who ask for it."""
    status, about, headers = await api.call("POST", "register", {"events": ["INVOKE"]}, Name="tried")
    assert status == 200
    assert about == {
        "functionName": "helloWorld",
        "functionVersion": "$LATEST",
        "handler": "lambda_function.lambda_handler",
    }
    assert str(UUID(headers["Lambda-Extension-Identifier"]))
    _, about, _ = await api.call("POST", "register", {}, Name="other", Accept_Feature="more, accountId")
    assert about["accountId"] == "000000000000"


@pytest.mark.parametrize(
    ("body", "name", "kind"),
    [
        ({"events": ["INVOKE"]}, "", "Extension.InvalidExtensionName"),
        ({"events": ["SHUTDOWN"]}, "tried", "Extension.InvalidEventType"),
        ({"events": ["INVOKE", "SHUTDOWN"]}, "tried", "Extension.InvalidEventType"),
        ({"events": ["RESTART"]}, "tried", "Extension.InvalidEventType"),
        (b"{", "tried", "InvalidRequestFormat"),
        (["INVOKE"], "tried", "InvalidRequestFormat"),
    ],
)
async def test_what_cannot_be_registered(api: Api, body: object, name: str, kind: str) -> None:
    """An extension in the function's process gets no SHUTDOWN."""
    assert await api.refused("POST", "register", body, Name=name) == kind
    assert api.is_ready()


async def test_a_name_is_registered_once_and_ten_at_most(api: Api) -> None:
    """As many as Lambda lets."""
    for number in range(MOST - 1):
        await api.register(f"one-{number}")
    assert await api.refused("POST", "register", {}, Name="one-0") == "Extension.InvalidExtensionState"
    await api.register("the last")
    assert await api.refused("POST", "register", {}, Name="too many") == "Extension.TooManyExtensions"


async def test_nobody_registers_after_the_runtime_has_started(api: Api) -> None:
    """The runtime's first request for an event ends that phase."""
    api.extensions.close()
    assert await api.refused("POST", "register", {}, Name="late") == "Extension.RegistrationClosed"


async def test_an_extension_is_ready_while_it_waits_for_its_event(api: Api) -> None:
    """Not before its first request, nor between an event and the next request."""
    identifier = await api.register()
    assert not api.is_ready()
    waiting = await api.wait(identifier)
    assert api.is_ready()
    api.extensions.invoke(EVENT)
    status, event, headers = await waiting
    assert (status, event) == (200, {"eventType": "INVOKE", **EVENT})
    assert headers["Lambda-Extension-Identifier"] == identifier
    assert not api.is_ready()
    waiting = await api.wait(identifier)
    assert api.is_ready()
    waiting.cancel()


async def test_every_extension_is_waited_for(api: Api) -> None:
    """One that wants no events is ready for good."""
    first, second = await api.register("first"), await api.register("second")
    without = await api.register("without", events=[])
    tasks = [await api.wait(one) for one in (first, second, without)]
    api.extensions.invoke(EVENT)
    await tasks[0]
    await tasks[1]
    again = [await api.wait(first)]
    assert not api.is_ready()
    again.append(await api.wait(second))
    assert api.is_ready()
    assert not tasks[2].done()
    for one in (*again, tasks[2]):
        one.cancel()


@pytest.mark.parametrize("call", [("GET", "event/next"), ("POST", "init/error"), ("POST", "exit/error")])
async def test_who_calls_must_be_known(api: Api, call: tuple[str, str]) -> None:
    """By the identifier that was given."""
    assert await api.refused(*call) == "Extension.MissingExtensionIdentifier"
    assert await api.refused(*call, Identifier="me") == "Extension.InvalidExtensionIdentifier"
    assert await api.refused(*call, Identifier=str(uuid4())) == "Extension.UnknownExtensionIdentifier"


async def test_an_extension_waits_once(api: Api) -> None:
    """A second request while the first waits is a wrong state."""
    identifier = await api.register()
    waiting = await api.wait(identifier)
    assert await api.refused("GET", "event/next", Identifier=identifier) == "Extension.InvalidExtensionState"
    waiting.cancel()


@pytest.mark.parametrize("path", ["init/error", "exit/error"])
async def test_after_an_error_no_call_succeeds(api: Api, path: str) -> None:
    """The environment learns the kind of error and that there is one."""
    identifier = await api.register()
    missing = await api.refused("POST", path, {}, Identifier=identifier)
    assert missing == "Extension.MissingHeader"
    assert not api.has_failed()
    kind = FATAL["Lambda-Extension-Function-Error-Type"]
    status, answer, _ = await api.call("POST", path, {}, Identifier=identifier, Function_Error_Type=kind)
    assert (status, answer) == (202, {"status": "OK"})
    assert api.failures == [kind]
    assert api.has_failed()
    refused = await api.refused("GET", "event/next", Identifier=identifier)
    assert refused == "Extension.InvalidExtensionState"


async def test_what_the_api_does_not_have_is_not_found(api: Api) -> None:
    """Other paths and other methods."""
    for method, path in (("GET", "register"), ("POST", "event/next"), ("GET", "logs")):
        assert (await api.call(method, path))[0] == 404
