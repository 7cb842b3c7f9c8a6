"""Validating requests."""

from typing import Annotated, Any

from aws_lambda_powertools.event_handler.middlewares import openapi_validation
from aws_lambda_powertools.event_handler.openapi.params import Query

from fairslot.http import api
from tests.support.http import request
from tests.support.lambda_context import context


def test_what_the_type_of_a_parameter_says_is_worked_out_once() -> None:
    """The second request finds it."""
    app = api.resolver()

    @app.get("/api/things")
    def things(days: Annotated[int, Query(ge=1)] = 7) -> dict[str, int]:
        return {"days": days}

    found: Any = vars(openapi_validation)["is_scalar_field"]
    asked = request("GET", "/api/things", query={"days": 3})
    first = app.resolve(asked, context())
    known = found.cache_info().misses
    second = app.resolve(asked, context())

    assert first["body"] == second["body"] == '{"days":3}'
    assert found.cache_info().misses == known
