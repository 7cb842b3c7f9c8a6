"""API Gateway's HTTP API, payload format 2.0: a request as an event, an answer as a response.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import binascii
import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from local.sqs import ACCOUNT

_TEXT_TYPES = {"application/json", "application/xml", "application/javascript"}
_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_DEFAULT_TYPE = "text/plain;charset=UTF-8"
_STATUSES = range(200, 600)


class AnswerError(ValueError):
    """A function's response is invalid; the client gets 500."""


@dataclass(frozen=True)
class Request:
    """A client's request: `path` and `query` as received, header names in any case."""

    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes
    source_ip: str
    request_id: str


@dataclass(frozen=True)
class Response:
    """The response to the client."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""


def plain_path(path: str) -> str:
    """Return a path with every escape but `%25` decoded, as the gateway matches it."""
    parts = re.split(r"(%25)", path)
    return "".join(
        part
        if part == "%25"
        else _ESCAPES.sub(
            lambda found: bytes.fromhex(found[0].replace("%", "")).decode("utf-8", "replace"), part
        )
        for part in parts
    )


def event(request: Request, route_key: str, path_parameters: dict[str, str]) -> dict[str, Any]:
    """Return the event for a request that matched a route."""
    headers = _joined(request.headers)
    cookies = headers.pop("cookie", None)
    path, now = plain_path(request.path), time.time()
    made: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": path,
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": "local",
            "domainName": headers.get("host", "127.0.0.1"),
            "domainPrefix": headers.get("host", "127.0.0.1").partition(".")[0],
            "http": {
                "method": request.method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.source_ip,
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": request.request_id,
            "routeKey": route_key,
            "stage": "$default",
            "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": False,
    }
    if cookies:
        made["cookies"] = [one.strip() for one in cookies.split(";") if one.strip()]
    if request.query:
        made["queryStringParameters"] = _together(parse_qsl(request.query, keep_blank_values=True))
    if path_parameters:
        made["pathParameters"] = path_parameters
    if request.body:
        made["body"], made["isBase64Encoded"] = _body(request.body, headers.get("content-type", ""))
    return made


def response(payload: bytes) -> Response:
    """Read a function's response: an object with a `statusCode`, or other JSON, which is then the body.

    Raises:
        AnswerError: it is neither, or a field of it has the wrong shape.

    """
    try:
        answer = json.loads(payload)
        if not isinstance(answer, dict) or "statusCode" not in answer:
            return Response(200, [("content-type", "application/json")], _compact(answer))
        status = int(answer["statusCode"])
        headers = [(name, _text(value)) for name, value in (answer.get("headers") or {}).items()]
        for name, values in (answer.get("multiValueHeaders") or {}).items():
            headers = [one for one in headers if one[0].lower() != name.lower()]
            headers += [(name, _text(value)) for value in values]
        headers += [("set-cookie", str(cookie)) for cookie in answer.get("cookies") or []]
        body = answer.get("body")
        text = body if isinstance(body, str) else "" if body is None else _compact(body).decode()
        raw = base64.b64decode(text, validate=True) if answer.get("isBase64Encoded") else text.encode()
    except (ValueError, TypeError, AttributeError, binascii.Error) as error:
        raise AnswerError(str(error)) from error
    if status not in _STATUSES:
        raise AnswerError(f"status {status}")
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("content-type", _DEFAULT_TYPE))
    return Response(status, headers, raw)


def message(status: int, text: str) -> Response:
    """Return a response of the gateway itself."""
    return Response(status, [("content-type", "application/json")], _compact({"message": text}))


def _joined(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return headers in lower case, repeated ones joined."""
    found: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        if key in found:
            value = f"{found[key]}{'; ' if key == 'cookie' else ','}{value}"  # noqa: PLW2901
        found[key] = value
    return found


def _together(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return query parameters, the values of a repeated one joined by commas."""
    found: dict[str, str] = {}
    for name, value in pairs:
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def _body(body: bytes, content_type: str) -> tuple[str, bool]:
    """Return a body as in the event; in base64 for all but text types, also for forms and no type."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith("text/") or kind in _TEXT_TYPES:
        return body.decode("utf-8", "replace"), False
    return base64.b64encode(body).decode("ascii"), True


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
