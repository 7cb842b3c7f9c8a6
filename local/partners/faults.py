"""Configurable faults of a stand-in: latency, errors, requests that hang, invalid responses."""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Self

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CLOSING = web.AppKey("closing", asyncio.Event)
EXEMPT = {"/control", "/health", "/blocks", "/webhooks/log"}  # for people and tests
LOOK_SECONDS = 0.2  # how often a hanging request checks whether its client is still connected


class Faults(BaseModel):
    """The faults of a stand-in; rates from 0 to 1, latency in milliseconds.

    `hang_rate`: no response; `failure_rate`: 503; `garbage_rate`: 200 with half a body. With `only`, faults
    apply only to paths that contain it. A request with a fault has no effect.
    """

    model_config = ConfigDict(extra="forbid")

    failure_rate: float = Field(0.1, ge=0, le=1)
    latency_ms: tuple[float, float] = (50, 300)
    hang_rate: float = Field(0.0, ge=0, le=1)
    garbage_rate: float = Field(0.0, ge=0, le=1)
    only: str = ""

    @model_validator(mode="after")
    def _latency_is_a_range(self) -> Self:
        low, high = self.latency_ms
        if not 0 <= low <= high:
            raise ValueError("latency_ms must be [low, high] with 0 <= low <= high")
        return self

    @classmethod
    def from_environment(cls, prefix: str) -> "Faults":
        """Read PREFIX_FAILURE_RATE, _LATENCY_MS ("100-1200" or "100"), _HANG_RATE and _GARBAGE_RATE."""
        given: dict[str, Any] = {}
        for name in ("failure_rate", "latency_ms", "hang_rate", "garbage_rate"):
            if text := os.environ.get(f"{prefix}_{name.upper()}"):
                given[name] = text
        if "latency_ms" in given:
            low, _, high = given["latency_ms"].partition("-")
            given["latency_ms"] = (low, high or low)
        return cls.model_validate(given)


def add_faults(app: web.Application, faults: Faults) -> None:
    """Add faults to the application, and GET and POST /control to see and change them."""
    current = faults

    async def show(_request: web.Request) -> web.Response:
        return web.json_response(current.model_dump())

    async def change(request: web.Request) -> web.Response:
        nonlocal current
        try:
            current = Faults.model_validate({**current.model_dump(), **await request.json()})
        except (ValueError, TypeError) as error:
            detail = (
                error.errors(include_context=False) if isinstance(error, ValidationError) else "not an object"
            )
            return web.json_response({"error": detail}, status=400)
        return web.json_response(current.model_dump())

    @web.middleware
    async def misbehave(request: web.Request, handler: Handler) -> web.StreamResponse:
        is_exempt = request.path in EXEMPT or request.path.startswith("/control/")
        if is_exempt or current.only not in request.path:
            return await handler(request)
        return await _with_faults(request, handler, current)

    app[CLOSING] = asyncio.Event()
    app.on_shutdown.append(_end_hanging)
    app.middlewares.append(misbehave)
    app.router.add_get("/control", show)
    app.router.add_post("/control", change)


async def _with_faults(request: web.Request, handler: Handler, faults: Faults) -> web.StreamResponse:
    if random.random() < faults.hang_rate:
        return await _hang(request)
    await asyncio.sleep(random.uniform(*faults.latency_ms) / 1000)
    if random.random() < faults.failure_rate:
        return web.json_response({"error": "Service temporarily unavailable", "retry_after": 5}, status=503)
    if random.random() < faults.garbage_rate:
        return web.Response(text='{"success": tru', content_type="application/json")
    return await handler(request)


async def _hang(request: web.Request) -> web.Response:
    """Wait until the client disconnects or this server stops; the response reaches nobody."""
    closing = request.app[CLOSING]
    while request.transport is not None and not closing.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(closing.wait(), LOOK_SECONDS)
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)


async def _end_hanging(app: web.Application) -> None:
    app[CLOSING].set()
