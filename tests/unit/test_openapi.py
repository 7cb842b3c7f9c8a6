"""The filed description of the API: up to date, valid, and true to the routes' contracts."""

import json
import re

from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel, TypeAdapter

import admin.app
import availability.app
import booking.app
from fairslot.domain.errors import FairslotError
from fairslot.http.problems import status_of
from fairslot.http.routing import declared
from fairslot.webhooks.subscriptions import EVENT_TYPES, PATTERNS
from tools import openapi


def test_the_filed_description_is_up_to_date() -> None:
    """What `make openapi` would write is what is filed."""
    assert openapi.PATH.read_text("utf-8") == openapi.written(), "run `make openapi`"


def test_it_is_valid() -> None:
    """A validator of OpenAPI 3.1 has nothing to say."""
    filed = json.loads(openapi.PATH.read_text("utf-8"))
    assert filed["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(filed).iter_errors()) == []


def test_it_has_every_route_once_and_by_name() -> None:
    """Each route is there with a name of its own, its success, its scope, and its errors."""
    operations = {
        operation["operationId"]: operation
        for methods in openapi.document()["paths"].values()
        for operation in methods.values()
    }
    described = [
        (route, contract)
        for module in (admin.app, availability.app, booking.app)
        for route, contract in declared(module.app)
        if route.include_in_schema
    ]
    assert len(operations) == len(described)
    for route, contract in described:
        operation = operations[route.func.__name__]
        statuses = {int(status) for status in operation["responses"]}
        assert contract.success in statuses
        assert statuses >= {status_of(error).value for error in (*contract.errors, FairslotError)}
        assert (f"Needs the scope `{contract.scope}`." in operation["description"]) == bool(contract.scope)
        assert operation["summary"]


def test_every_body_has_an_example_that_is_valid() -> None:
    """By the description, and by the model that reads it, which knows each member."""
    described = openapi.document()
    bodies = {
        operation["operationId"]: operation["requestBody"]["content"]["application/json"]["schema"]
        for methods in described["paths"].values()
        for operation in methods.values()
        if "requestBody" in operation
    }
    for route, _ in (*declared(admin.app.app), *declared(booking.app.app)):
        for body in route.dependant.body_params:
            (name,) = re.findall(r"#/components/schemas/(\w+)", json.dumps(bodies[route.func.__name__]))
            (shown,) = described["components"]["schemas"][name]["examples"]
            schema = {"$ref": f"#/components/schemas/{name}", "components": described["components"]}
            assert list(OAS31Validator(schema).iter_errors(shown)) == [], name
            read = TypeAdapter[BaseModel](body.type_).validate_python(shown)
            assert read.model_fields_set == shown.keys(), name


def test_what_changes_takes_an_idempotency_key() -> None:
    """Every operation that changes something names the header, and no other does."""
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
