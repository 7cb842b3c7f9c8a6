"""Listing the earliest bookable starts over several calendars."""

import json
from collections.abc import Iterator
from heapq import merge
from itertools import repeat
from typing import Annotated, Literal

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Query

from availability.models import SoonestModel
from availability.page_text import Form, each_entry
from availability.starts import Asked, after_first_readings, in_order, kept
from fairslot.coach_time.bookable_starts import Starts
from fairslot.coach_time.soonest import Soonest, soonest
from fairslot.domain.errors import NotFoundError
from fairslot.domain.requirements import requirements
from fairslot.http import api, pages, routing
from fairslot.http.representation import Representations, accepts_gzip, response
from fairslot.http.routing import route
from fairslot.http.types import Id, Zone
from fairslot.platform import db

router = Router()  # type: ignore[no-untyped-call]  # the library leaves it untyped


@route(
    router,
    "GET",
    "/api/availability/soonest",
    scope="read",
    calendars="named",
    errors=(NotFoundError,),
    summary="List the earliest bookable starts",
    conditional=True,
    responses={200: {"description": "The starts.", "content": {"application/json": {"model": SoonestModel}}}},
)
def list_soonest(
    calendars: Annotated[list[Id] | None, Query(min_length=1, max_length=20)] = None,
    requires: Asked = None,
    timezone: Zone | None = None,
    include: Literal["coaches"] | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 5,
) -> Response[str]:
    """Return the earliest starts of the given calendars, or of every calendar, whoever the coach is.

    At the same instant calendars are ordered by id. There are `limit` starts and 1 MB at most.
    """
    now, tenant_id = api.clock(), api.client(router).tenant_id
    asked, seen = in_order(requires), routing.calendars_of_caller(router)
    named = None if calendars is None else sorted({*calendars})

    def read(connection: db.Connection) -> Soonest:
        return after_first_readings(
            connection,
            tenant_id,
            lambda: soonest(
                connection,
                tenant_id=tenant_id,
                calendar_ids=named,
                requires=asked,
                limit=limit,
                now=now,
                kept=kept,
                seen=seen,
            ),
            now,
        )

    found = db.run(read)
    for calendar_id in named or ():
        kept.weigh(tenant_id, calendar_id)
    form = Form(zone=timezone, with_calendar=True, with_coaches=include == "coaches", requires=asked)
    headers = router.current_event.headers
    compressed = accepts_gzip(headers.get("accept-encoding", ""))
    return response(Representations.of(_written(found, form), compressed=compressed), headers)


def _written(found: Soonest, form: Form) -> str:
    """Write the starts as JSON, as many as fit into LARGEST_PAGE."""
    entries = merge(*(_entries(one, form) for one in found.calendars))
    fitting = pages.fitting([text for *_, text in entries], lambda text: len(text) + 1)
    synced_at = found.synced_at.strftime("%Y-%m-%dT%H:%M:%SZ") if found.synced_at else None
    tail = json.dumps({"synced_at": synced_at, "stale": found.stale}, separators=(",", ":"))
    return f'{{"slots":[{",".join(fitting)}],{tail[1:]}'


def _entries(one: Starts, form: Form) -> Iterator[tuple[int, str, str]]:
    """Return each entry of a calendar with its place in the order."""
    met = [
        {"rule": rule.rule, "attribute": rule.attribute} for rule in requirements(one.requires, form.requires)
    ]
    last = f',"met":{json.dumps(met, separators=(",", ":"))}'
    return zip(one.slots, repeat(one.calendar_id), each_entry(one, form, last))
