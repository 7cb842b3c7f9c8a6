"""A route says everything once; one that does not say it is not served."""

import json
from typing import Any

import pytest
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver

import admin.app
import availability.app
import booking.app
from fairslot.domain.errors import FairslotError, NotFoundError
from fairslot.http import api
from fairslot.http.routing import UndeclaredRouteError, declared, find, route
from tests.support.http import request
from tests.support.lambda_context import context

APPS = [admin.app.app, availability.app.app, booking.app.app]
OPEN = {("GET", "/health"), ("GET", "/openapi.json")}


def nothing() -> dict[str, Any]:
    """Answer nothing in particular."""
    return {}


@pytest.fixture
def app() -> APIGatewayHttpResolver:
    """Return an app with one open and one closed route."""
    made = api.resolver()
    route(made, "GET", "/open", scope=None)(nothing)
    closed = {"key": "optional", "calendars": "named", "errors": (NotFoundError,)}
    route(made, "POST", "/things/<thing_id>", scope="write", **closed)(nothing)  # type: ignore[arg-type]
    return made


def test_an_app_with_an_undeclared_route_does_not_start(app: APIGatewayHttpResolver) -> None:
    """A route without a contract, and so without a scope, is named when the handler is made."""
    api.handler(app)
    app.get("/other")(nothing)
    with pytest.raises(UndeclaredRouteError, match="GET /other"):
        api.handler(app)


def test_a_contract_is_for_its_own_route_only(app: APIGatewayHttpResolver) -> None:
    """A function that is declared for one route has no contract for another."""
    app.delete("/open")(nothing)
    with pytest.raises(UndeclaredRouteError, match="DELETE /open"):
        declared(app)


def test_a_route_that_is_added_later_is_not_served(app: APIGatewayHttpResolver) -> None:
    """Without a contract nobody is authorized: the request fails instead of passing without a scope."""
    handler = api.handler(app)
    app.get("/late")(nothing)
    answer = handler(request("GET", "/late"), context())
    assert (answer["statusCode"], json.loads(answer["body"])["error"]) == (500, FairslotError.code)
    assert handler(request("GET", "/open", key=None), context())["statusCode"] == 200


def test_the_contract_is_that_of_the_route_that_answers(app: APIGatewayHttpResolver) -> None:
    """A contract is found by method and path as the resolver finds the route."""
    found = find(app, "post", "/things/1")
    assert found is not None
    assert (found.scope, found.key, found.success) == ("write", "optional", 200)
    assert find(app, "GET", "/things/1") is None
    assert find(app, "POST", "/things/1/2") is None
    assert find(app, "POST", "/nothing") is None


def test_errors_are_the_routes_own_and_the_common_ones(app: APIGatewayHttpResolver) -> None:
    """An open route can fail; one with a scope, a key and a body has the errors of each, each once."""
    contracts = {one.path: one for _, one in declared(app)}
    assert contracts["/open"].all_errors(has_body=False) == (FairslotError,)
    codes = [one.code for one in contracts["/things/<thing_id>"].all_errors(has_body=True)]
    assert {"NOT_FOUND", "IDEMPOTENCY_KEY_REUSED", "AUTHENTICATION_FAILED", "PAYLOAD_TOO_LARGE"} <= set(codes)
    twice = contracts["/things/<thing_id>"].all_errors(has_body=True)
    assert len(twice) == len(set(twice))


def test_every_route_but_the_open_ones_has_a_scope() -> None:
    """Nobody without a key reads or changes anything; whatever changes something takes an idempotency key."""
    contracts = [contract for one in APPS for _, contract in declared(one)]
    assert {(one.method, one.path) for one in contracts if one.scope is None} == OPEN
    assert all((one.key == "none") == (one.method == "GET") for one in contracts)
    assert [one.path for one in contracts if one.signed] == ["/api/webhooks/calendar"]
