"""The first admin key of a deployment: made by a command or a function, shown once."""

import os
import subprocess
import sys

import pytest

from deploy import first_key as function
from fairslot.access import first_key, key_form
from fairslot.platform.db import Connection
from local.postgres import EmbeddedPostgres
from tests.support.fixtures import Environment
from tests.support.http import add_key, ask
from tests.support.lambda_context import context
from tests.support.tables import count


def run(database_url: str) -> subprocess.CompletedProcess[str]:
    """Run the command on a database."""
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        [sys.executable, "-m", "fairslot.access.first_key"],
        env={**os.environ, "DATABASE_URL": database_url, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_prints_a_key_once(
    connection: Connection, environment: Environment, database_url: str
) -> None:
    """It opens everything; run again, the command says that there is one and prints none."""
    environment(ANY_KEY_FORM="")
    first, second = run(database_url), run(database_url)
    key = first.stdout.strip()
    assert (first.returncode, key_form.is_key(key)) == (0, True)
    assert ask("GET", "/api/keys", key=key).json["data"][0]["scopes"] == ["read", "write", "admin"]
    assert (second.returncode, second.stdout) == (1, "")
    assert "there is an admin key already" in second.stderr
    assert count(connection, "api_keys") == 1
    assert count(connection, "webhook_endpoints") == 2


def test_the_audit_says_that_it_was_made(connection: Connection, environment: Environment) -> None:
    """By nobody's request, without the key; run again, the command made nothing."""
    made = first_key.make(connection)
    assert first_key.make(connection) is None
    [entry] = ask("GET", "/api/audit", key=made).json["data"]
    [key] = ask("GET", "/api/keys", key=made).json["data"]
    assert [entry[name] for name in ("actor", "request_id", "method", "route", "before")] == [None] * 5
    assert (entry["resource"], entry["resource_id"], entry["action"]) == ("key", key["key_id"], "created")
    assert entry["after"]["scopes"] == ["read", "write", "admin"]
    assert str(made)[13:] not in str(entry)


def test_the_function_answers_with_a_key_once(
    connection: Connection, environment: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only the answer has it; the log says that one was made."""
    first, second = (function.lambda_handler({}, context(30.0)) for _ in range(2))
    assert ask("GET", "/api/keys", key=first["key"]).status == 200
    assert first["key"][13:] not in "".join(capsys.readouterr())
    assert "key" not in second
    assert "already" in second["message"]


def test_who_has_lost_every_admin_key_gets_another(connection: Connection, environment: Environment) -> None:
    """A key that ended, or may not do everything, is none; partners are added with the first key only."""
    made = first_key.make(connection)
    assert made is not None
    add_key(connection, "reader", scopes=("read",))
    assert first_key.make(connection) is None
    connection.execute("UPDATE api_keys SET revoked_at = now() WHERE label = 'first'")
    another = first_key.make(connection)
    assert another not in {None, made}
    connection.execute("UPDATE api_keys SET expires_at = now() - interval '1 hour' WHERE revoked_at IS NULL")
    assert first_key.make(connection) is not None
    assert count(connection, "webhook_endpoints") == 2


def test_where_no_key_can_be_made_the_command_says_why(postgres: EmbeddedPostgres) -> None:
    """In a sentence that says what to do."""
    for url, said in (
        ("", "set DATABASE_URL"),
        ("postgresql://nobody@127.0.0.1:1/nothing", "does not answer"),
        (postgres.url, "run `make migrate` first"),
    ):
        done = run(url)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr
        assert "Traceback" not in done.stderr
