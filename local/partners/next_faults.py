"""Faults of the next requests, one by one: answers that are lost, requests that arrive late, refusals."""

from collections import deque
from typing import Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from local.partners.faults import Handler

type Late = tuple[Handler, web.Request]


class NextFault(BaseModel):
    """What becomes of the next request of a method whose path contains `path`.

    lost: it is carried out, and its connection cut without an answer. late: its connection is cut, and it is
    carried out at POST /control/late. refused: it is answered with `status`, `body` and `headers` instead.
    """

    model_config = ConfigDict(extra="forbid")

    effect: Literal["lost", "late", "refused"]
    method: str = "GET"
    path: str = ""
    status: int = Field(503, ge=200, le=599)
    body: dict[str, object] = {}
    headers: dict[str, str] = {}

    def is_about(self, request: web.Request) -> bool:
        """Tell whether the request is the one."""
        return request.method == self.method and self.path in request.path


class NextFaults:
    """The faults to come, and the requests that are late."""

    def __init__(self) -> None:
        self._coming: deque[NextFault] = deque()
        self._late: list[Late] = []

    async def add(self, request: web.Request) -> web.Response:
        """Take one fault: POST /control/next."""
        try:
            self._coming.append(NextFault.model_validate(await request.json()))
        except (ValidationError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"coming": len(self._coming)})

    async def forget(self, _request: web.Request) -> web.Response:
        """Forget the faults that have met no request: POST /control/calm."""
        self._coming.clear()
        return web.json_response({})

    async def let_in(self, _request: web.Request) -> web.Response:
        """Carry out the requests that are late, and return their statuses: POST /control/late."""
        statuses = []
        while self._late:
            handler, request = self._late.pop(0)
            try:
                statuses.append((await handler(request)).status)
            except web.HTTPException as refusal:
                statuses.append(refusal.status)
        return web.json_response({"statuses": statuses})

    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request, with its fault where one is set."""
        fault = next((one for one in self._coming if one.is_about(request)), None)
        if fault is None or request.path.startswith("/control"):
            return await handler(request)
        self._coming.remove(fault)
        if fault.effect == "refused":
            return web.json_response(fault.body, status=fault.status, headers=fault.headers)
        await request.read()
        if fault.effect == "late":
            self._late.append((handler, request))
        else:
            await handler(request)
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=503)


def add_next_faults(app: web.Application) -> None:
    """Add the faults of the next requests, and how they are set."""
    faults = NextFaults()

    @web.middleware
    async def with_faults(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await faults.answer(request, handler)

    app.middlewares.append(with_faults)
    app.router.add_post("/control/next", faults.add)
    app.router.add_post("/control/calm", faults.forget)
    app.router.add_post("/control/late", faults.let_in)
