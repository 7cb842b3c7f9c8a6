"""Requests as events, and answers as responses."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from local.gateway_payload import AnswerError, Request, Response, event, plain_path, response

REQUEST = Request(
    method="POST",
    path="/things/a%20b",
    query="x=1&x=2&y=%C3%A9&z=",
    headers=[
        ("Host", "127.0.0.1:3000"),
        ("User-Agent", "curl/8"),
        ("Content-Type", "application/json; charset=utf-8"),
        ("X-Twice", "one"),
        ("x-twice", "two"),
        ("Cookie", "a=1; b=2"),
    ],
    body=b'{"name": "\xc3\xa9"}',
    source_ip="127.0.0.1",
    request_id="r-1",
)


def test_a_request_becomes_an_event_of_payload_2() -> None:
    """Names in lower case, repeated ones joined, cookies apart, the path plain and the query raw."""
    made = event(REQUEST, "POST /things/{id}", {"id": "a b"})
    context = made.pop("requestContext")
    assert made == {
        "version": "2.0",
        "routeKey": "POST /things/{id}",
        "rawPath": "/things/a b",
        "rawQueryString": "x=1&x=2&y=%C3%A9&z=",
        "cookies": ["a=1", "b=2"],
        "headers": {
            "host": "127.0.0.1:3000",
            "user-agent": "curl/8",
            "content-type": "application/json; charset=utf-8",
            "x-twice": "one,two",
        },
        "queryStringParameters": {"x": "1,2", "y": "é", "z": ""},
        "pathParameters": {"id": "a b"},
        "body": '{"name": "é"}',
        "isBase64Encoded": False,
    }
    assert context["http"] == {
        "method": "POST",
        "path": "/things/a b",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "curl/8",
    }
    assert (context["requestId"], context["stage"], context["routeKey"]) == (
        "r-1",
        "$default",
        "POST /things/{id}",
    )
    assert isinstance(context["timeEpoch"], int)


def test_what_a_request_lacks_its_event_lacks() -> None:
    """No body, no cookies, no parameters: no members for them."""
    made = event(replace(REQUEST, query="", headers=[], body=b""), "GET /", {})
    assert not {"body", "cookies", "pathParameters", "queryStringParameters"} & set(made)


@pytest.mark.parametrize(
    ("content_type", "encoded"),
    [
        ("text/calendar", False),
        ("application/xml", False),
        ("application/octet-stream", True),
        ("application/x-www-form-urlencoded", True),
        ("", True),
    ],
)
def test_only_a_few_types_come_as_text(content_type: str, encoded: bool) -> None:  # noqa: FBT001
    """All others, forms and no type at all among them, come as base64, as the gateway does it."""
    headers = [("content-type", content_type)] if content_type else []
    made = event(replace(REQUEST, headers=headers, body=b"a=1"), "POST /", {})
    assert made["isBase64Encoded"] is encoded
    assert made["body"] == (base64.b64encode(b"a=1").decode() if encoded else "a=1")


def test_every_escape_of_a_path_is_undone_but_that_of_the_percent_sign() -> None:
    """So what was escaped twice is not taken for what it is not."""
    assert plain_path("/a%2Fb/%C3%A9/%252E") == "/a/b/é/%252E"


def test_an_answer_with_a_status_becomes_a_response() -> None:
    """Headers, those with several values, cookies, and a body that was encoded."""
    answer: dict[str, Any] = {
        "statusCode": 201,
        "headers": {"Content-Type": "image/png", "X-Count": 3, "X-Many": "gone"},
        "multiValueHeaders": {"X-Many": ["a", "b"]},
        "cookies": ["c=1; Secure", "d=2"],
        "isBase64Encoded": True,
        "body": base64.b64encode(b"\x00\xff").decode(),
    }
    assert response(json.dumps(answer).encode()) == Response(
        201,
        [
            ("Content-Type", "image/png"),
            ("X-Count", "3"),
            ("X-Many", "a"),
            ("X-Many", "b"),
            ("set-cookie", "c=1; Secure"),
            ("set-cookie", "d=2"),
        ],
        b"\x00\xff",
    )


@pytest.mark.parametrize(
    ("answer", "body"), [({"a": 1}, b'{"a":1}'), ("text", b'"text"'), (None, b"null"), ([1], b"[1]")]
)
def test_an_answer_without_a_status_is_the_body(answer: Any, body: bytes) -> None:
    """Whatever JSON it is, with status 200."""
    assert response(json.dumps(answer).encode()) == Response(
        200, [("content-type", "application/json")], body
    )


def test_an_answer_without_a_type_is_text() -> None:
    """The gateway names a type where the function does not."""
    assert response(b'{"statusCode": "204"}') == Response(
        204, [("content-type", "text/plain;charset=UTF-8")], b""
    )


@pytest.mark.parametrize(
    "answer",
    [
        b"no json",
        b'{"statusCode": "many"}',
        b'{"statusCode": 999}',
        b'{"statusCode": 200, "headers": ["a"]}',
        b'{"statusCode": 200, "isBase64Encoded": true, "body": "?"}',
    ],
)
def test_an_answer_that_makes_no_sense_is_an_error(answer: bytes) -> None:
    """The client then gets 500."""
    with pytest.raises(AnswerError):
        response(answer)
