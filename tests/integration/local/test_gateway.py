"""The HTTP front before real functions."""

import asyncio
import base64
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.gateway import Gateway
from local.routes import Routes
from tests.integration.local.conftest import MakePool, eventually

pytestmark = pytest.mark.anyio

LARGE = 10 * 1024 * 1024


@pytest.fixture
async def client(make_pool: MakePool, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway that waits for its function for a second."""
    routes = Routes([("GET", "/things/{id}", "Things"), ("POST", "/things", "Things")])
    pool = make_pool("lambda_handlers.http")
    await pool.warm()
    gateway = Gateway(routes, {"Things": pool}, tmp_path / "gateway.log", seconds=1.0)
    await gateway.start()
    async with httpx.AsyncClient(base_url=gateway.url, trust_env=False, timeout=30) as one:
        yield one
    await gateway.stop()


async def test_a_request_reaches_the_function_as_an_event(client: httpx.AsyncClient) -> None:
    """The path's parameter, the query, the headers and the client's address."""
    answer = await client.get("/things/a%20b?x=1&x=2", headers={"X-API-Key": "k", "Cookie": "c=1"})
    event = answer.json()
    assert (event["routeKey"], event["pathParameters"]) == ("GET /things/{id}", {"id": "a b"})
    assert (event["rawPath"], event["rawQueryString"]) == ("/things/a b", "x=1&x=2")
    assert (event["headers"]["x-api-key"], event["cookies"]) == ("k", ["c=1"])
    assert event["headers"]["x-forwarded-for"] == event["requestContext"]["http"]["sourceIp"] == "127.0.0.1"
    assert answer.headers["apigw-requestid"] == event["requestContext"]["requestId"]


async def test_a_body_reaches_the_function(client: httpx.AsyncClient) -> None:
    """Text as text, with its length announced or not."""

    async def parts() -> AsyncIterator[bytes]:
        yield b'{"a":'
        yield b" 1}"

    headers = {"content-type": "application/json"}
    whole = (await client.post("/things", content=b'{"a": 1}', headers=headers)).json()
    chunked = (await client.post("/things", content=parts(), headers=headers)).json()
    assert whole["body"] == chunked["body"] == '{"a": 1}'


async def test_the_functions_answer_reaches_the_client(client: httpx.AsyncClient) -> None:
    """Status, headers, cookies and body."""
    given = {"statusCode": 409, "headers": {"X-A": "1"}, "cookies": ["a=1", "b=2"], "body": "no"}
    answer = await client.get("/things/1", params={"answer": json.dumps(given)})
    assert (answer.status_code, answer.text, answer.headers["x-a"]) == (409, "no", "1")
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert answer.headers["content-type"] == "text/plain;charset=UTF-8"


async def test_a_compressed_answer_reaches_the_client_as_bytes(client: httpx.AsyncClient) -> None:
    """In base64 from the function, so that any bytes may be a body; 304 has none."""
    body = base64.b64encode(gzip.compress(b"much text")).decode()
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json", "ETag": '"a"'}
    given = {"statusCode": 200, "headers": headers, "body": body, "isBase64Encoded": True}
    answer = await client.get("/things/1", params={"answer": json.dumps(given)})
    assert (answer.status_code, answer.content) == (200, b"much text")
    assert (answer.headers["content-encoding"], answer.headers["etag"]) == ("gzip", '"a"')
    given = {"statusCode": 304, "headers": {"ETag": '"a"'}, "body": ""}
    answer = await client.get("/things/1", params={"answer": json.dumps(given)})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", '"a"')
    assert (await client.get("/things/1")).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/other"), ("DELETE", "/things/1"), ("HEAD", "/things/1"), ("GET", "/things/")],
)
async def test_what_no_route_covers_is_not_found(client: httpx.AsyncClient, method: str, path: str) -> None:
    """In the gateway's own words."""
    answer = await client.request(method, path)
    assert answer.status_code == 404
    if method != "HEAD":
        assert answer.json() == {"message": "Not Found"}


@pytest.mark.parametrize("size", [LARGE + 1, 7 * 1024 * 1024])
async def test_a_body_that_cannot_reach_a_function_is_too_large(client: httpx.AsyncClient, size: int) -> None:
    """More than the gateway takes, or than Lambda does."""
    answer = await client.post("/things", content=b"x" * size, headers={"content-type": "text/plain"})
    assert (answer.status_code, answer.json()) == (413, {"message": "Request Entity Too Large"})


@pytest.mark.parametrize("query", [{"do": "raise"}, {"answer": '{"statusCode": "x"}'}])
async def test_a_function_that_fails_is_a_500_without_its_words(
    client: httpx.AsyncClient, query: dict[str, Any]
) -> None:
    """An error, or an answer that makes no sense."""
    answer = await client.get("/things/1", params=query)
    assert (answer.status_code, answer.json()) == (500, {"message": "Internal Server Error"})


async def test_a_function_that_takes_too_long_is_a_503_and_goes_on(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    """The gateway's patience is not the function's timeout."""
    answer = await client.get("/things/1", params={"do": "hold", "folder": str(tmp_path)})
    assert (answer.status_code, answer.json()) == (503, {"message": "Service Unavailable"})
    (tmp_path / "go").touch()
    await eventually(lambda: "success" in (tmp_path / "function.log").read_text())


async def test_many_at_once_are_all_answered(client: httpx.AsyncClient) -> None:
    """More than there are processes."""
    answers = await asyncio.gather(*(client.get(f"/things/{number}") for number in range(30)))
    assert [one.json()["pathParameters"]["id"] for one in answers] == [str(number) for number in range(30)]


async def test_each_request_is_a_line_of_the_log(client: httpx.AsyncClient, tmp_path: Path) -> None:
    """With neither path nor query nor body, where people's data would be."""
    await client.get("/things/a@b.c?email=a@b.c")
    line = json.loads((tmp_path / "gateway.log").read_text().splitlines()[-1])
    assert (line["method"], line["routeKey"], line["status"]) == ("GET", "GET /things/{id}", 200)
    assert "a@b.c" not in str(line)
