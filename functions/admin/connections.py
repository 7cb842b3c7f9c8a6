"""Links by which coaches connect their calendars themselves."""

from typing import TYPE_CHECKING, Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path

from admin.connection_models import ConnectionModel, ConnectionRequest
from fairslot.domain.errors import NotFoundError, ValidationError
from fairslot.http import api, changes
from fairslot.http.routing import route
from fairslot.http.types import Id
from fairslot.platform import connect_links
from fairslot.platform.settings import settings
from fairslot.team import connections
from fairslot.team.connections import Asked

if TYPE_CHECKING:
    from fairslot.domain.idempotency import ChangeResult, Key
    from fairslot.platform.db import Connection

router = Router()  # type: ignore[no-untyped-call]  # the library leaves it untyped


@route(
    router,
    "POST",
    "/api/coaches/<coach_id>/calendar-connections",
    scope="admin",
    key="optional",
    errors=(NotFoundError,),
    success=201,
    summary="Make a link to connect a calendar",
)
def create_connection(coach_id: Annotated[Id, Path()], body: ConnectionRequest) -> Response[ConnectionModel]:
    """Make a link for a coach, who opens it within seven days and consents, or gives a password.

    Then the calendar is read at once. A link is used once, and what was given never comes out.
    """
    _check_set_up(body.kind)
    tenant_id, now = api.client(router).tenant_id, api.clock()
    tokens: list[str] = []
    asked = Asked(**body.model_dump())

    def work(connection: "Connection", key: "Key") -> "ChangeResult":
        done, token = connections.make(
            connection, tenant_id=tenant_id, coach_id=coach_id, asked=asked, key=key, now=now
        )
        tokens[:] = [token]
        return done

    done = changes.apply(router, work)
    answer = {**done.answer, "link": None if done.replayed else connect_links.url(tokens[0])}
    return changes.respond(router, ConnectionModel.model_validate(answer), replayed=done.replayed)


def _check_set_up(kind: str) -> None:
    """Refuse a link at whose end the coach would find nothing."""
    ids = {"google": settings().google_client_id, "microsoft": settings().microsoft_client_id}
    if kind in ids and not ids[kind]:
        raise ValidationError(
            f"This deployment is not registered at {kind.title()}: docs/calendars.md says how.",
            [("body.kind", "not_set_up")],
        )
