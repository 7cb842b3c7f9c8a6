"""What the routes that change a team share: preconditions, dry runs, patches, and how they answer."""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header, Query
from pydantic import BaseModel
from pydantic import ValidationError as InvalidModelError

from admin.plan_models import Plan
from admin.settings_models import merged
from fairslot.domain.errors import MalformedRequestError, ValidationError
from fairslot.domain.idempotency import NO_KEY, ChangeResult, Key
from fairslot.http import api, changes
from fairslot.platform import db
from fairslot.team.changes import Choice, Options, is_new
from fairslot.team.preconditions import Precondition, etag

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler.api_gateway import BaseRouter
    from aws_lambda_powertools.event_handler.openapi.types import OpenAPIResponse

    from fairslot.platform.db import Connection

type Work = Callable[[Connection, Key, Options], ChangeResult]

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


def found[T: BaseModel](model: type[T], resource: Mapping[str, Any]) -> Response[T]:
    """Answer with a resource and its entity tag."""
    return Response(
        status_code=200,
        content_type="application/json",
        headers={"ETag": etag(resource)},
        body=model.model_validate(resource),
    )


def plan(router: "BaseRouter", work: "Callable[[Connection], ChangeResult]") -> Response[Plan]:
    """Do a dry run, which is counted before the work as a change is, and answer with its plan."""
    api.request_count(router).check()
    return Response(200, "application/json", Plan.model_validate(db.run(work).answer))


def change[T: BaseModel](
    router: "BaseRouter", model: type[T] | None, work: Work, options: Options
) -> Response[Any]:
    """Make a change and answer with the resource (none: 204), or with the plan of a dry run.

    A resource that was made is answered with 201.
    """
    if options.dry_run:
        return plan(router, lambda connection: work(connection, NO_KEY, options))
    made = changes.apply(router, lambda connection, key: work(connection, key, options))
    if model is None:
        return changes.respond(router, None, replayed=made.replayed)
    resource = made.answer["resource"]
    answer = changes.respond(router, model.model_validate(resource), replayed=made.replayed)
    answer.headers["ETag"] = etag(resource)
    if is_new(made.answer):
        answer.status_code = _CREATED
    return answer


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
