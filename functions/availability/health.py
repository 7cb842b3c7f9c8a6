"""What anybody may read: the health of the deployment, and its contract."""

from importlib.resources import files

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from availability.models import Dependency, Health, Outbox
from fairslot.domain.errors import FairslotError
from fairslot.http import api
from fairslot.http.routing import route
from fairslot.platform import cache, db, time_limit
from fairslot.platform.settings import settings
from fairslot.webhooks import outbox

router = Router()  # type: ignore[no-untyped-call]  # the library leaves it untyped

_HEALTH_SECONDS = 3.0


@route(
    router,
    "GET",
    "/health",
    scope=None,
    summary="Tell whether bookings can be taken",
    responses={
        200: {"description": "They can.", "content": {"application/json": {"model": Health}}},
        503: {"description": "They cannot.", "content": {"application/json": {"model": Health}}},
    },
)
def get_health() -> Response[Health]:
    """Return 200 while bookings can be taken, else 503, with the state of each dependency."""
    try:
        with time_limit.within(_HEALTH_SECONDS):
            waiting, database = db.run(lambda connection: outbox.waiting(connection, now=api.clock())), "ok"
    except FairslotError:
        waiting, database = 0, "down"
    cached = "unused" if not settings().redis_url else "ok" if cache.is_alive() else "down"
    status = "down" if database == "down" else "degraded" if cached == "down" or waiting else "ok"
    health = Health.model_validate(
        {
            "status": status,
            "database": Dependency.model_validate({"status": database}),
            "cache": Dependency.model_validate({"status": cached}),
            "outbox": Outbox(status="ok" if database == "ok" else "down", waiting=waiting),
        }
    )
    return Response(503 if database == "down" else 200, "application/json", health)


@route(router, "GET", "/openapi.json", scope=None, summary="Read this contract", include_in_schema=False)
def get_contract() -> Response[str]:
    """Return the OpenAPI description, which `make openapi` writes from the routes."""
    return Response(200, "application/json", files("fairslot").joinpath("openapi.json").read_text("utf-8"))
