"""What the routes of a team's resources share: how one is read, put, patched and deleted, and how it answers.

A route says its types and which resource it is about; whose it is, when, under which key, under which
conditions and whether for real is found here.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header, Query
from pydantic import BaseModel
from pydantic import ValidationError as InvalidModelError

from admin.plan_models import Plan
from admin.settings_models import Patch, merged
from fairslot.domain.errors import MalformedRequestError, ValidationError
from fairslot.http import api, changes
from fairslot.platform import db
from fairslot.team.changes import ChangeRequest, Choice, Options, is_new
from fairslot.team.preconditions import ANY, Precondition, etag

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler.api_gateway import BaseRouter
    from aws_lambda_powertools.event_handler.openapi.types import OpenAPIResponse

    from fairslot.domain.idempotency import ChangeResult
    from fairslot.platform.db import Connection
    from fairslot.team.resources import DeletableResource, Resource, Settings

type Work = Callable[[Connection, ChangeRequest], ChangeResult]

_CREATED = 201
_ETAG: Any = {"description": "The resource's entity tag, for `If-Match`.", "schema": {"type": "string"}}
_TAGS = re.compile(r'\s*(\*|"[!#-~\x80-\xff]*"(\s*,\s*"[!#-~\x80-\xff]*")*)\s*')
DryRun = Annotated[bool, Query(description="Answer what the change would do, and change nothing.")]
Appointments = Annotated[
    Choice | None,
    Query(description="What becomes of appointments that no longer fit; without it they refuse the change."),
]
IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", max_length=400, description="Entity tags, or `*`: one must be the resource's."),
]
IfNoneMatch = Annotated[
    str | None, Header(alias="If-None-Match", max_length=400, description="`*`: the resource must not exist.")
]


def precondition(if_match: str | None = None, if_none_match: str | None = None) -> Precondition:
    """Return what a request's headers expect of a resource.

    Raises:
        MalformedRequestError: they are no entity tags.

    """
    if if_none_match is not None and if_none_match.strip() != "*":
        raise MalformedRequestError("If-None-Match takes `*` only.", [("header.If-None-Match", "invalid")])
    if if_match is None:
        return Precondition(absent=if_none_match is not None)
    if not _TAGS.fullmatch(if_match):
        raise MalformedRequestError(
            "If-Match takes `*`, or entity tags in quotes as GET gives them.",
            [("header.If-Match", "invalid")],
        )
    tags = frozenset(re.findall(r'\*|"[^"]*"', if_match))
    return Precondition(tags=tags, absent=if_none_match is not None)


def patched[T: BaseModel](model: type[T], known: Mapping[str, Any], patch: BaseModel) -> dict[str, Any]:
    """Return a resource's settings with a patch applied, as valid as if they replaced it.

    Raises:
        ValidationError: they are not.

    """
    settings = {name: value for name, value in known.items() if name in model.model_fields}
    try:
        made = model.model_validate(merged(settings, patch.model_dump(mode="json")))
    except InvalidModelError as error:
        details = [(".".join(("body", *map(str, one["loc"]))), one["type"]) for one in error.errors()]
        raise ValidationError(details=details) from error
    return made.model_dump(mode="json")


def read[T: BaseModel](router: "BaseRouter", model: type[T], resource: "Resource") -> Response[T]:
    """Answer with a resource and its entity tag."""
    tenant_id = api.client(router).tenant_id
    found = db.run(lambda connection: resource.get(connection, tenant_id=tenant_id))
    return Response(
        200,
        "application/json",
        model.model_validate(found),
        headers={"ETag": etag(resource.tagged(found))},
    )


def put[T: BaseModel](
    router: "BaseRouter",
    model: type[T],
    resource: "Resource",
    settings: "Settings",
    options: Options,
    expected: Precondition = ANY,
) -> Response[Any]:
    """Create a resource or replace its settings, and answer with it."""
    return _change(
        router,
        model,
        resource,
        lambda connection, asked: resource.put(connection, settings, asked),
        options,
        expected,
    )


def patch[T: BaseModel](
    router: "BaseRouter",
    model: type[T],
    resource: "Resource",
    body: Patch,
    whole: type[BaseModel],
    options: Options,
    expected: Precondition,
) -> Response[Any]:
    """Patch a resource, which has to be as valid afterwards as a `whole` request, and answer with it."""

    def edit(known: Mapping[str, Any]) -> dict[str, Any]:
        return patched(whole, known, body)

    return _change(
        router,
        model,
        resource,
        lambda connection, asked: resource.patch(connection, edit, asked),
        options,
        expected,
    )


def delete(
    router: "BaseRouter", resource: "DeletableResource", options: Options, expected: Precondition
) -> Response[Any]:
    """Delete a resource and answer with nothing."""
    return _change(router, None, resource, resource.delete, options, expected)


def plan(router: "BaseRouter", work: Work, options: Options, expected: Precondition = ANY) -> Response[Plan]:
    """Do a dry run, which is counted before the work as a change is, and answer with its plan."""
    api.request_count(router).check()
    asked = _asked(router, options, expected)
    return Response(
        200,
        "application/json",
        Plan.model_validate(db.run(lambda connection: work(connection, asked)).answer),
    )


def make(router: "BaseRouter", work: Work, options: Options, expected: Precondition = ANY) -> changes.Done:
    """Make a change once for its key."""
    asked = _asked(router, options, expected)
    return changes.apply(router, lambda connection, key: work(connection, replace(asked, key=key)))


def answers(
    model: type[BaseModel] | None, *, plan: bool = False, created: bool = False
) -> "dict[int, OpenAPIResponse]":
    """Describe what a route answers: a resource or nothing, and the plan of a dry run."""
    described: dict[int, OpenAPIResponse] = {}
    if plan:
        body: Any = {"model": Plan if model is None else model | Plan}
        described[200] = {"description": "The resource, or the plan.", "content": {"application/json": body}}
    elif model is not None:
        described[200] = _resource(model, "The resource.")
    if model is None:
        described[204] = {"description": "Deleted."}
    elif created:
        described[201] = _resource(model, "The new resource.")
    return described


def _resource(model: type[BaseModel], about: str) -> "OpenAPIResponse":
    return {
        "description": about,
        "content": {"application/json": {"model": model}},
        "headers": {"ETag": _ETAG},
    }


def _asked(router: "BaseRouter", options: Options, expected: Precondition) -> ChangeRequest:
    return ChangeRequest(
        tenant_id=api.client(router).tenant_id, now=api.clock(), options=options, precondition=expected
    )


def _change[T: BaseModel](
    router: "BaseRouter",
    model: type[T] | None,
    resource: "Resource",
    work: Work,
    options: Options,
    expected: Precondition,
) -> Response[Any]:
    """Make a change and answer with the resource (none: 204), or with the plan of a dry run.

    A resource that was made is answered with 201.
    """
    if options.dry_run:
        return plan(router, work, options, expected)
    made = make(router, work, options, expected)
    if model is None:
        return changes.respond(router, None, replayed=made.replayed)
    found = made.answer["resource"]
    answer = changes.respond(router, model.model_validate(found), replayed=made.replayed)
    answer.headers["ETag"] = etag(resource.tagged(found))
    if is_new(made.answer):
        answer.status_code = _CREATED
    return answer
