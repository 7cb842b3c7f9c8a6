"""The filed description of the API: up to date, valid, and true to the routes that are deployed."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from openapi_spec_validator import OpenAPIV31SpecValidator

import admin.app
import availability.app
import booking.app
from fairslot.http import api
from fairslot.webhooks.subscriptions import EVENT_TYPES, PATTERNS
from local.routes import Routes
from local.template import Function, Template
from tools import openapi


def test_the_filed_description_is_up_to_date() -> None:
    """What `make openapi` would write is what is filed."""
    assert openapi.PATH.read_text("utf-8") == openapi.written(), "run `make openapi`"


def test_what_is_described_is_deployed(root: Path) -> None:
    """The template has the paths that are described and no others, but its own and the rest."""
    deployed = {route for function in _deployed(root) for route in function.routes}
    described = {
        (method.upper(), path) for path, methods in openapi.document()["paths"].items() for method in methods
    }
    paths = {path for _, path in described}
    assert {path for _, path in deployed} == paths | {"/openapi.json", "$default"}
    assert {route for route in deployed if route[0] != "ANY"} <= described
    assert described <= deployed | {(method, path) for method, path in described if ("ANY", path) in deployed}


def test_every_method_of_a_path_comes_to_who_knows_it(root: Path) -> None:
    """HEAD, and what a path is not for, are answered by the function that has the path, not by another."""
    functions = {function.name: function for function in _deployed(root)}
    routes = Routes((*route, one.name) for one in functions.values() for route in one.routes)
    for module in (admin.app, availability.app, booking.app):
        for route in api.routes(module.app):
            path = re.sub("<[a-z_]+>", str(UUID(int=1)), route.path)
            for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
                found = routes.find(method, path)
                assert found is not None
                assert functions[found.function].handler == f"{module.__name__}.lambda_handler", path


def test_it_is_valid() -> None:
    """A validator of OpenAPI 3.1 has nothing to say."""
    filed = json.loads(openapi.PATH.read_text("utf-8"))
    assert filed["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(filed).iter_errors()) == []


def test_it_has_every_route_once_and_by_name() -> None:
    """Each route is there with a name of its own, and with a success and a refusal."""
    operations = {
        operation["operationId"]: operation
        for methods in openapi.document()["paths"].values()
        for operation in methods.values()
    }
    assert len(operations) == sum(_routes(one.app) for one in (admin.app, availability.app, booking.app))
    for operation in operations.values():
        statuses = set(operation["responses"])
        assert statuses & {"200", "201", "204"}
        assert "500" in statuses
        assert operation["summary"]
        assert operation["description"]


def test_what_changes_takes_an_idempotency_key() -> None:
    """Every operation that is no reading names the header."""
    for methods in openapi.document()["paths"].values():
        for method, operation in methods.items():
            named = json.dumps(operation.get("parameters", []))
            assert ("IdempotencyKey" in named or "X-Idempotency-Key" in named) == (method != "get")


def test_a_calendar_event_needs_a_key_unless_it_is_signed() -> None:
    """Both names are there, neither is required by itself, and it is said when one of them is."""
    operation = openapi.document()["paths"]["/api/webhooks/calendar"]["post"]
    keys = [one for one in operation["parameters"] if one["in"] == "header"]
    assert [one["name"] for one in keys] == ["X-Idempotency-Key", "Idempotency-Key"]
    for one in keys:
        assert not one.get("required")
        assert "Without a signature one of both names is required" in one["description"]


def test_there_are_no_two_ways_to_call_but_the_key_and_the_token() -> None:
    """A key or a bearer token opens everything but what is open to all."""
    made = openapi.document()
    assert made["security"] == [{"ApiKey": []}, {"Bearer": []}]
    opened = [path for path, methods in made["paths"].items() if methods.get("get", {}).get("security") == []]
    assert opened == ["/health"]


def test_event_types_are_named() -> None:
    """What a subscriber can ask for, what a delivery is of and what arrives are closed lists."""
    made = openapi.document()
    sent = [*EVENT_TYPES, "endpoint.test"]
    schemas = made["components"]["schemas"]
    assert schemas["DeliveryModel"]["properties"]["event_type"]["enum"] == sent
    assert schemas["Patterns"]["items"]["enum"] == sorted(PATTERNS)
    assert schemas["EndpointModel"]["properties"]["event_types"]["items"]["enum"] == sorted(PATTERNS)
    named = {one["name"]: one for one in made["paths"]["/api/deliveries"]["get"]["parameters"]}
    assert named["event_type"]["schema"]["enum"] == sent
    arrives = made["webhooks"]["event"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert arrives["properties"]["type"]["enum"] == sent


def _deployed(root: Path) -> Iterable[Function]:
    return Template(root / "template.yaml", {}, "http://127.0.0.1").functions.values()


def _routes(app: APIGatewayHttpResolver) -> int:
    return sum(len(methods) for methods in json.loads(app.get_openapi_json_schema())["paths"].values())
