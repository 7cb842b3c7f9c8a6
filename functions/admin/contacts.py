"""Customers: forgetting one of them."""

import time
from typing import Annotated, Literal
from urllib.parse import unquote

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import BeforeValidator, EmailStr

from admin.audit_models import Forgotten
from fairslot.booking import contacts
from fairslot.domain.errors import AppointmentsAffectedError, NotFoundError
from fairslot.http import api, changes
from fairslot.http.routing import route
from fairslot.platform import db

router = Router()  # type: ignore[no-untyped-call]  # the library leaves it untyped


def _plain(text: str) -> str:
    """Return an address that was escaped once, of which the gateway leaves `%25`, or twice, for `/?#%`."""
    return unquote(unquote(text))


@route(
    router,
    "DELETE",
    "/api/contacts/<email>",
    scope="admin",
    key="optional",
    errors=(AppointmentsAffectedError, NotFoundError),
    summary="Forget a customer",
)
def forget_contact(
    email: Annotated[
        EmailStr,
        BeforeValidator(_plain),
        Path(description="The customer's address, in any case. Escaped twice it may have any characters."),
    ],
    appointments: Annotated[
        Literal["cancel"] | None,
        Query(description="What becomes of scheduled appointments to come; without it they refuse (409)."),
    ] = None,
) -> Response[Forgotten]:
    """Remove all that is stored of a customer; past appointments, decisions and statistics stay without it.

    After the answer no webhook begins that names the customer, which may take some seconds. Again, and for an
    address that nobody has, it changes nothing.
    """
    tenant_id, now = api.client(router).tenant_id, api.clock()
    answer = changes.change(
        router,
        Forgotten,
        lambda connection, key: contacts.forget(
            connection, tenant_id=tenant_id, email=email, cancel=appointments == "cancel", key=key, now=now
        ),
    )
    # However the answer was found: a request with the same key may have been cut off here.
    time.sleep(db.run(lambda connection: contacts.seconds_to_wait(connection, tenant_id=tenant_id)))
    return answer
