"""CloudFormation gets an answer from `deploy.migrate`, whatever happens to the migrations."""

import json
import logging
import signal
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, cast

import httpx
import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from deploy import migrate
from fairslot.platform.settings import settings

# As CloudFormation signs it: escapes that must arrive as they are.
ADDRESS = (
    "https://bucket.example/arn%3Aaws%3Acloudformation%3Aeu-west-1%3A1%3Astack/fairslot/0a%7CMigrations%7Cb1"
    "?X-Amz-Credential=AK%2F20260101%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Signature=ab%2Bc%3D"
)


class Minute(LambdaContext):
    """An invocation with a minute left."""

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        """Return what Lambda counts down."""
        return 60_000


def request(kind: str, address: str = ADDRESS) -> dict[str, Any]:
    """Return a custom resource request as CloudFormation sends it."""
    return {
        "RequestType": kind,
        "ResponseURL": address,
        "StackId": "arn:aws:cloudformation:eu-west-1:1:stack/fairslot/0a",
        "RequestId": "r-1",
        "LogicalResourceId": "Migrations",
        "ResourceType": "Custom::Migrations",
        "ResourceProperties": {"CodeVersion": "arn:7"},
    }


class Bucket:
    """The place where CloudFormation wants its answer: keeps what was put there."""

    def __init__(self, status: int = 200) -> None:
        """Answer every request with `status`."""
        self.status = status
        self.requests: list[httpx.Request] = []
        self.client = httpx.Client(transport=httpx.MockTransport(self.take))

    def take(self, asked: httpx.Request) -> httpx.Response:
        """Keep the request."""
        self.requests.append(asked)
        return httpx.Response(self.status)

    @property
    def answer(self) -> dict[str, Any]:
        """The one answer that came."""
        [asked] = self.requests
        return cast("dict[str, Any]", json.loads(asked.content))


def fail(error: BaseException) -> list[str]:
    """Stand for migrations that end in `error`."""
    raise error


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_success_names_the_request_it_answers(kind: str) -> None:
    """Create and Update migrate, and the answer carries what CloudFormation needs to match it."""
    bucket = Bucket()
    migrate.respond(request(kind), work=lambda: ["0001_a.sql", "0002_b.sql"], seconds=5, client=bucket.client)
    assert bucket.answer == {
        "Status": "SUCCESS",
        "PhysicalResourceId": "fairslot-migrations",
        "StackId": "arn:aws:cloudformation:eu-west-1:1:stack/fairslot/0a",
        "RequestId": "r-1",
        "LogicalResourceId": "Migrations",
        "Data": {"Applied": "2"},
    }


def test_the_signed_address_is_used_as_it_came() -> None:
    """The answer is a PUT without a content type to exactly the address given, as its signature wants."""
    bucket = Bucket()
    migrate.respond(request("Create"), work=list, seconds=5, client=bucket.client)
    [asked] = bucket.requests
    assert asked.method == "PUT"
    assert str(asked.url) == ADDRESS
    assert "content-type" not in asked.headers


def test_delete_leaves_the_database_alone() -> None:
    """A stack that goes does not take the data along."""
    bucket = Bucket()
    migrate.respond(
        request("Delete"), work=lambda: fail(AssertionError("migrated")), seconds=5, client=bucket.client
    )
    assert bucket.answer["Status"] == "SUCCESS"


def test_failure_is_told_without_the_rows_it_is_about() -> None:
    """The reason is the error's first line, as Postgres quotes data in the next, and it fits."""
    bucket = Bucket()
    error = ValueError("could not create unique index " + "x" * 5000 + "\nDETAIL:  Key (email)=(a@b.example)")
    migrate.respond(request("Update"), work=lambda: fail(error), seconds=5, client=bucket.client)
    assert bucket.answer["Status"] == "FAILED"
    assert bucket.answer["Reason"].startswith("ValueError: could not create unique index")
    assert "b.example" not in bucket.answer["Reason"]
    assert len(bucket.requests[0].content) <= 4096


# pytest-timeout's own alarm would be the one that the code sets.
@pytest.mark.timeout(60, method="thread")
def test_migrations_that_hang_are_ended_and_told() -> None:
    """What does not end in its time is interrupted, and the alarm is as it was before."""
    bucket = Bucket()
    before = signal.getsignal(signal.SIGALRM)
    began = time.monotonic()
    migrate.respond(
        request("Update"), work=lambda: [str(threading.Event().wait(30))], seconds=0.05, client=bucket.client
    )
    assert time.monotonic() - began < 10
    assert bucket.answer["Status"] == "FAILED"
    assert bucket.answer["Reason"] == "OutOfTimeError: The migrations did not end in time."
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@pytest.mark.timeout(60, method="thread")
def test_no_time_left_is_a_failure_too() -> None:
    """With less time than the answer needs, the migrations are not let run without a limit."""
    bucket = Bucket()
    migrate.respond(
        request("Update"), work=lambda: [str(threading.Event().wait(30))], seconds=-3, client=bucket.client
    )
    assert bucket.answer["Status"] == "FAILED"


def test_a_refused_answer_is_an_error_without_the_address() -> None:
    """Lambda calls again when the answer was refused, and no log gets to see the signed address."""
    with pytest.raises(migrate.AnswerError, match="answered 403") as caught:
        migrate.respond(request("Create"), work=list, seconds=5, client=Bucket(status=403).client)
    assert "Signature" not in str(caught.value)


def test_httpx_does_not_log_the_address(caplog: pytest.LogCaptureFixture) -> None:
    """The signed address stays out of the logs, also where the root logger lets INFO through."""
    with caplog.at_level(logging.INFO):
        migrate.respond(request("Create"), work=list, seconds=5, client=Bucket().client)
    assert "Signature" not in caplog.text


@pytest.mark.timeout(60, method="thread")
def test_handler_answers_when_there_is_no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing where the database should be, the handler tells so over a real connection."""
    received: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("DATABASE_URL", f"postgresql://nobody@127.0.0.1:{port}/none")
    settings.cache_clear()
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        migrate.lambda_handler(request("Create", f"http://127.0.0.1:{server.server_port}/answer"), Minute())
        thread.join(timeout=10)
    settings.cache_clear()
    [answer] = received
    assert answer["Status"] == "FAILED"
    assert answer["Reason"].startswith("OperationalError: connection failed")
