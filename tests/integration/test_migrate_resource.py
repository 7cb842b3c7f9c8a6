"""A deployment's migrations against a real database: they are done, or ended there too."""

import json
import time
from typing import Any

import httpx
import psycopg
import pytest

from deploy.migrate import respond
from fairslot.platform import migrate
from local.postgres import EmbeddedPostgres

REQUEST = {
    "RequestType": "Update",
    "ResponseURL": "https://bucket.example/answer",
    "StackId": "s",
    "RequestId": "r",
    "LogicalResourceId": "Migrations",
}


@pytest.fixture
def answers() -> list[dict[str, Any]]:
    """What CloudFormation was told."""
    return []


@pytest.fixture
def client(answers: list[dict[str, Any]]) -> httpx.Client:
    """A client whose requests become `answers`."""

    def take(asked: httpx.Request) -> httpx.Response:
        answers.append(json.loads(asked.content))
        return httpx.Response(200)

    return httpx.Client(transport=httpx.MockTransport(take))


def test_an_empty_database_gets_the_schema(
    postgres: EmbeddedPostgres, client: httpx.Client, answers: list[dict[str, Any]]
) -> None:
    """The first deployment applies every migration and the functions, the next one nothing."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE first_deployment")
    url = postgres.url_of("first_deployment")
    for _ in range(2):
        respond(REQUEST, work=lambda: migrate.migrate(url), seconds=60, client=client)
    assert [answer["Status"] for answer in answers] == ["SUCCESS", "SUCCESS"]
    assert [answer["Data"]["Applied"] for answer in answers] == [
        str(len(migrate.Schema.current().tables) + 1),
        "0",
    ]


# pytest-timeout's own alarm would be the one that the code sets.
@pytest.mark.timeout(60, method="thread")
def test_a_migration_that_hangs_ends_in_the_server_too(
    database_url: str, client: httpx.Client, answers: list[dict[str, Any]]
) -> None:
    """Out of time means that the statement is cancelled and its locks are free, not that we stop waiting."""
    slow = migrate.Schema.current().followed_by(
        ("9999_slow.sql", "CREATE TABLE half_done (); SELECT pg_sleep(50)")
    )
    began = time.monotonic()
    respond(REQUEST, work=lambda: migrate.migrate(database_url, slow), seconds=1, client=client)
    assert time.monotonic() - began < 20
    assert [answer["Status"] for answer in answers] == ["FAILED"]
    with psycopg.connect(database_url) as connection:
        left = connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%pg_sleep%'"
            "   AND state <> 'idle'"
        ).fetchone()
        table = connection.execute("SELECT to_regclass('half_done')").fetchone()
    assert left == (0,)
    assert table == (None,)
    assert migrate.migrate(database_url) == []
