"""The HTTP gateway: what API Gateway does between a client and a function."""

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from aiohttp import web

from local.gateway_payload import AnswerError, Request, Response, event, message, plain_path, response
from local.logs import Log, Warn, ignore
from local.routes import Routes
from local.runtime_api import LARGEST_PAYLOAD, Answer

_LARGEST_BODY = 10 * 1024 * 1024
_MOST_READ = 8 * _LARGEST_BODY  # the client gets its 413 after it has sent the body
_TIMEOUT_SECONDS = 30.0
_DRAIN_SECONDS = 3.0
# Headers that the server sets itself.
_HOP_BY_HOP = {"connection", "content-length", "date", "keep-alive", "transfer-encoding", "upgrade"}


class Invokable(Protocol):
    """A function that can be run."""

    async def invoke(self, event: bytes) -> Answer:
        """Run it once."""
        ...


class Gateway:
    """Serves HTTP on a loopback port by invoking the functions that the routes name.

    `seconds` is the time limit of an invocation; each request is a line of JSON in `log`.
    """

    def __init__(
        self,
        routes: Routes,
        functions: Mapping[str, Invokable],
        log: Path,
        *,
        port: int = 0,
        seconds: float = _TIMEOUT_SECONDS,
        warn: Warn = ignore,
    ) -> None:
        self.port = port
        self._routes = routes
        self._functions = functions
        self._log = Log(log, warn)
        self._seconds = seconds
        server = web.Server(self._serve, access_log=None, keepalive_timeout=75)
        self._runner = web.ServerRunner(server, shutdown_timeout=_DRAIN_SECONDS)

    @property
    def url(self) -> str:
        """The address, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the port is taken.

        """
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Accept no more requests, and let running ones finish for a few seconds."""
        await self._runner.cleanup()

    async def _serve(self, received: web.BaseRequest) -> web.StreamResponse:
        began = time.perf_counter()
        request_id = str(uuid4())
        route_key, answer = await self._answer(received, request_id)
        made = web.Response(status=answer.status, body=answer.body)
        made.headers.popall("Content-Type", None)
        for name, value in answer.headers:
            if name.lower() not in _HOP_BY_HOP:
                made.headers.add(name, value)
        made.headers["apigw-requestid"] = request_id
        line = {
            "requestId": request_id,
            "method": received.method,  # the path can name a customer
            "routeKey": route_key,
            "status": answer.status,
            "latencyMs": round((time.perf_counter() - began) * 1000, 1),
        }
        self._log.line(json.dumps(line))
        return made

    async def _answer(self, received: web.BaseRequest, request_id: str) -> tuple[str | None, Response]:
        path, _, query = received.raw_path.partition("?")
        match = self._routes.find(received.method, plain_path(path))
        if match is None:
            return None, message(404, "Not Found")
        body = await _body(received)
        if body is None:
            return match.route_key, message(413, "Request Entity Too Large")
        request = Request(
            method=received.method,
            path=path,
            query=query,
            headers=_headers(received),
            body=body,
            source_ip=received.remote or "127.0.0.1",
            request_id=request_id,
        )
        made = json.dumps(event(request, match.route_key, match.parameters)).encode()
        if len(made) > LARGEST_PAYLOAD:
            return match.route_key, message(413, "Request Entity Too Large")
        return match.route_key, await self._invoke(match.function, made)

    async def _invoke(self, function: str, made: bytes) -> Response:
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._functions[function].invoke(made)
        except TimeoutError:
            return message(503, "Service Unavailable")
        if answer.error is not None:
            return message(500, "Internal Server Error")
        try:
            return response(answer.payload)
        except AnswerError:
            return message(500, "Internal Server Error")


async def _body(received: web.BaseRequest) -> bytes | None:
    """Return the body, or None if it is larger than the gateway allows."""
    if not received.can_read_body:
        return b""
    if received.headers.get("Expect", "").lower() == "100-continue" and received.transport is not None:
        received.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    parts, size = [], 0
    async for part in received.content.iter_any():
        size += len(part)
        if size <= _LARGEST_BODY:
            parts.append(part)
        elif size > _MOST_READ:
            break
    return b"".join(parts) if size <= _LARGEST_BODY else None


def _headers(received: web.BaseRequest) -> list[tuple[str, Any]]:
    """Return the client's headers and those that the gateway adds."""
    own = {
        "x-amzn-trace-id": f"Root=1-{int(time.time()):08x}-{uuid4().hex[:24]}",
        "x-forwarded-port": (received.host or "").rpartition(":")[2],
        "x-forwarded-proto": "http",
    }
    kept = [(name, value) for name, value in received.headers.items() if name.lower() not in own]
    return [*kept, *own.items(), ("x-forwarded-for", received.remote or "127.0.0.1")]
