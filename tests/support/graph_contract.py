"""What is said between us and Microsoft Graph, held to the models of Microsoft's SDK."""

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

_ROOT = Path(__file__).resolve().parents[2]
_PYTHON = _ROOT / ".tools/msgraph/bin/python"

# Whose body it is by its path: of requests, and of answers.
_EVENT = re.compile(r"/events/[^/]+$")
_CALENDAR = re.compile(r"/calendars?(?:/[^/]+)?/(?:events|calendarView)$")


@dataclass(frozen=True, slots=True)
class Said:
    """A request and its answer."""

    request: httpx.Request
    status: int
    answer: Any


class Listening(httpx.AsyncBaseTransport):
    """Sends requests, and keeps what was said."""

    def __init__(self) -> None:
        self.said: list[Said] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request by a connection of its own."""
        async with httpx.AsyncHTTPTransport(trust_env=False) as transport:
            response = await transport.handle_async_request(request)
            content = await response.aread()
        self.said.append(Said(request, response.status_code, json.loads(content) if content else None))
        return httpx.Response(
            response.status_code, headers=response.headers, stream=httpx.ByteStream(content)
        )


def held(said: Sequence[Said]) -> Iterator[dict[str, Any]]:
    """Yield what the models are asked: every body, and the members that requests name."""
    for one in said:
        path = one.request.url.path
        model = _model(path)
        if one.request.content:
            yield {"model": model[0], "body": _as_described(model[0], json.loads(one.request.content))}
        if named := one.request.url.params.get("$select"):
            yield {"model": "Event", "names": named.split(",")}
        if one.status >= httpx.codes.BAD_REQUEST:
            yield {"model": "ODataError", "body": one.answer}
        elif one.answer is not None:
            yield {
                "model": model[1 if one.request.method == "GET" or model[0] != "Event" else 0],
                "body": one.answer,
            }


def _as_described(model: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return a body with the names that its model has.

    Of getSchedule the reference writes small letters, as we do, and the SDK sends the capitals of Graph's
    description: Graph takes both.
    """
    if model != "GetSchedulePostRequestBody":
        return body
    return {name[:1].upper() + name[1:]: value for name, value in body.items()}


def _model(path: str) -> tuple[str, str]:
    """Return the models of what is sent to a path, and of what it answers a GET."""
    if path.endswith("/getSchedule"):
        return "GetSchedulePostRequestBody", "GetSchedulePostResponse"
    if "/subscriptions" in path:
        return "Subscription", "Subscription"
    if _CALENDAR.search(path):
        return "Event", "EventCollectionResponse"
    assert _EVENT.search(path), path
    return "Event", "Event"


def problems(asked: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Return what the SDK's models do not know, for each that they are asked."""
    assert _PYTHON.exists(), "the SDK is not installed: make .tools/msgraph/.installed"
    lines = "".join(f"{json.dumps(one)}\n" for one in asked)
    program = _ROOT / "tests/support/graph_models.py"
    done = subprocess.run(
        [_PYTHON, "-I", program], input=lines, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
