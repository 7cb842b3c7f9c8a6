"""How many endpoints there can be, what they may send with, and that an address stays out of the log."""

import pytest
from psycopg.types.json import Jsonb

from fairslot.platform.db import Connection
from local.postgres import EmbeddedPostgres
from tests.support.endpoints import PATH, URL, set_endpoint, subscribe, subscribed
from tests.support.fixtures import Environment
from tests.support.http import add_key, ask, check_problem
from tests.support.tables import count

MEANINGFUL = [
    "webhook_signature", "Webhook.Id", "Content_Length", "content!type", "Transfer_Encoding",
    "transfer-encoding", "X_Idempotency_Key", "X_API_Key", "Via", "Forwarded", "X-Forwarded-For",
    "X_Forwarded_Host", "X-Real-IP", "Set-Cookie", "X-HTTP-Method-Override", "x_http_method_override",
    "X-Method-Override", "X-Original-URL", "X-Rewrite-URL", "HTTP2-Settings", "Proxy-Connection",
    "Max-Forwards", "Trailers", "Range", "Request-Range", "If", "If-Match", "if_none_match",
    "If-Modified-Since", "If-Range", "Origin", "Referer", "Access-Control-Request-Method",
    "X-Accel-Redirect", "X_Accel_Mapping", "X-Sendfile", "X-Sendfile-Type", "X-Lighttpd-Send-File",
    "X-Reproxy-URL", "X-Remote-User", "X-Auth-Request-Email", "Early-Data", "Proxy", "Fly-Client-IP",
    "X-Azure-ClientIP", "X-Azure-SocketIP", "X-Appengine-User-IP", "WL-Proxy-Client-IP",
    "X-Vercel-Forwarded-For", "X-Originating-IP",
]  # fmt: skip


def test_a_header_that_means_something_on_the_way_cannot_be_chosen(
    team: Connection, kms: None, subtests: pytest.Subtests
) -> None:
    """Nor one that a receiver cannot tell from such a header, as many make one of all signs."""
    made = subscribed()
    for name in MEANINGFUL:
        with subtests.test(name):
            problem = check_problem(subscribe(headers={name: "x"}), 422, "VALIDATION_ERROR")
            assert [one["loc"] for one in problem["details"]] == [f"body.headers.{name}"]
            change = ask("PATCH", f"{PATH}/{made['endpoint_id']}", {"headers": {name: "x"}})
            check_problem(change, 422, "VALIDATION_ERROR")


def test_two_headers_that_many_receivers_take_for_one_are_one_twice(team: Connection, kms: None) -> None:
    """A name with `_` is fine by itself."""
    check_problem(subscribe(headers={"X-Team": "a", "x_team": "b"}), 422, "VALIDATION_ERROR")
    assert subscribed(headers={"x_team": "b", "X-Colour": "red"})["headers"]["x_team"] == "b"


def test_a_rate_is_at_least_one_in_a_hundred_seconds(team: Connection, kms: None) -> None:
    """Less would keep one message waiting for longer than it may."""
    problem = check_problem(subscribe(rate_per_second=0.009), 422, "VALIDATION_ERROR")
    assert [one["loc"] for one in problem["details"]] == ["body.rate_per_second"]
    assert subscribed(rate_per_second=0.01)["rate_per_second"] == 0.01


def test_what_was_made_before_a_rule_can_still_be_turned_off(team: Connection, kms: None) -> None:
    """Only what is given is judged."""
    made = subscribed()
    set_endpoint(team, headers=Jsonb({"Via": "x"}), url="https://a_b.example/")
    off = ask("PATCH", f"{PATH}/{made['endpoint_id']}", {"enabled": False})
    assert (off.status, off.json["enabled"], off.json["headers"]) == (200, False, {"Via": "x"})


def test_there_is_an_end_to_how_many_endpoints_a_tenant_has(
    team: Connection, kms: None, environment: Environment
) -> None:
    """One more than the setting says is refused; taking one away makes room."""
    environment(MAX_ENDPOINTS_PER_TENANT="2")
    first = subscribed(url=URL + "/0", enabled=False)
    subscribed(url=URL + "/1")
    problem = check_problem(subscribe(url=URL + "/2"), 409, "CONFLICT")
    assert "2 endpoints" in problem["message"]
    assert count(team, "webhook_endpoints") == 2
    add_key(team, "other-key", tenant_id="other")
    assert subscribe(key="other-key").status == 201
    assert ask("DELETE", f"{PATH}/{first['endpoint_id']}").status == 204
    assert subscribe(url=URL + "/2").status == 201


def test_an_address_that_is_had_stays_out_of_the_databases_log(
    team: Connection, kms: None, postgres: EmbeddedPostgres
) -> None:
    """A token in its query would stand there in the clear."""
    token = "nobody-may-read-this"
    url = f"{URL}?token={token}"
    subscribed(url=url)
    other = subscribed(url=URL + "/2")
    problem = check_problem(subscribe(url=url), 409, "CONFLICT")
    change = ask("PATCH", f"{PATH}/{other['endpoint_id']}", {"url": url, "description": "moved"})
    check_problem(change, 409, "CONFLICT")
    assert token not in str(problem)
    log = postgres.log.read_text("utf-8")
    assert "database system is ready" in log
    assert token not in log
    assert ask("GET", f"{PATH}/{other['endpoint_id']}").json["description"] == ""
