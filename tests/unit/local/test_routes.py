"""Matching requests to routes."""

import pytest

from local.routes import Match, Routes

ROUTES = Routes(
    [
        ("GET", "/things/{id}", "One"),
        ("GET", "/things/all", "All"),
        ("POST", "/things/{id}/cancel", "Cancel"),
        ("ANY", "/things/{id}", "Any"),
        ("GET", "/{proxy+}", "Rest"),
        ("GET", "/", "Root"),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "function", "parameters"),
    [
        ("GET", "/things/all", "All", {}),
        ("GET", "/things/7", "One", {"id": "7"}),
        ("PUT", "/things/7", "Any", {"id": "7"}),
        ("POST", "/things/7/cancel", "Cancel", {"id": "7"}),
        ("GET", "/things/7/more", "Rest", {"proxy": "things/7/more"}),
        ("GET", "/", "Root", {}),
    ],
)
def test_the_closest_route_answers(method: str, path: str, function: str, parameters: dict[str, str]) -> None:
    """A word is more specific than a parameter, a parameter than a greedy one, a method than ANY."""
    found = ROUTES.find(method, path)
    assert found is not None
    assert (found.function, found.parameters) == (function, parameters)


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/things"), ("HEAD", "/"), ("POST", "/things//cancel")]
)
def test_no_route_answers_what_none_covers(method: str, path: str) -> None:
    """HEAD does not match GET, and a parameter is never empty."""
    assert ROUTES.find(method, path) is None


def test_the_default_route_answers_the_rest() -> None:
    """Its key is its name."""
    routes = Routes([("ANY", "$default", "Default"), ("GET", "/a", "A")])
    assert routes.find("GET", "/b/c") == Match("Default", "$default", {})
    assert routes.find("GET", "/a") == Match("A", "GET /a", {})
