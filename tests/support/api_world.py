"""What tests of the HTTP handlers stand on: keys, queues, and whether anything changed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from psycopg import sql

from fairslot.access.keys import hash_key
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from tests.support.gateway_events import KEY, Answer, ask
from tests.support.world import NINE, TENANT

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

DETAILED = {"VALIDATION_ERROR", "PAYLOAD_TOO_LARGE", "SLOT_UNAVAILABLE", "ILLEGAL_TRANSITION"}
ALL_SCOPES = ("read", "write", "admin")


def add_key(
    connection: Connection,
    key: str = KEY,
    *,
    scopes: Sequence[str] = ALL_SCOPES,
    tenant_id: str = TENANT,
    rate_limit: int = 100_000,
    revoked: bool = False,
) -> None:
    """Make an API key."""
    connection.execute(
        queries("admin")["add_key"],
        {
            "tenant": tenant_id,
            "hash": hash_key(key),
            "label": "test",
            "scopes": list(scopes),
            "rate_limit": rate_limit,
        },
    )
    if revoked:
        connection.execute("UPDATE api_keys SET revoked_at = now() WHERE key_hash = %s", (hash_key(key),))


def stop_clock(connection: Connection, now: datetime) -> None:
    """Have the database tell one time, to this and every later connection, until it is told another."""
    connection.execute(
        sql.SQL(
            "CREATE OR REPLACE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE"
            " RETURN {}::timestamptz"
        ).format(sql.Literal(now.isoformat()))
    )
    connection.execute(
        sql.SQL("ALTER DATABASE {} SET search_path = public, pg_catalog").format(
            sql.Identifier(connection.info.dbname)
        )
    )
    connection.execute("SET search_path = public, pg_catalog")


def wish(start: datetime | str = NINE, **members: Any) -> dict[str, Any]:
    """Return the body of a booking; a member that is None is left out."""
    text = start if isinstance(start, str) else start.isoformat()
    body = {
        "calendar_id": "cal",
        "start_time": text,
        "contact_email": "zoe@example.com",
        "contact_name": "Zoë Secret",
    }
    return {name: value for name, value in (body | members).items() if value is not None}


def book(start: datetime | str = NINE, *, headers: Any = (), key: str = KEY, **members: Any) -> Answer:
    """Ask for an appointment."""
    return ask("POST", "/api/appointments", wish(start, **members), headers=headers, key=key)


def booked(start: datetime | str = NINE, **members: Any) -> dict[str, Any]:
    """Return what a booking that has to succeed is answered with."""
    answer = book(start, **members)
    assert answer.status == 201, answer
    found: dict[str, Any] = answer.json
    return found


def rows(connection: Connection) -> dict[str, str]:
    """Return a digest of every table, to tell whether anything changed."""
    tables = connection.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    ).fetchall()
    digests = " UNION ALL ".join(
        f"SELECT '{table['relname']}' AS name, md5(string_agg(t::text, '' ORDER BY t::text)) AS digest"
        f" FROM {table['relname']} AS t HAVING count(*) > 0"
        for table in tables
    )
    return {row["name"]: row["digest"] for row in connection.execute(digests.encode())}


def count(connection: Connection, table: str) -> int:
    """Return how many rows a table has."""
    row = connection.execute(f"SELECT count(*) AS n FROM {table}".encode()).fetchone()
    return int(row["n"]) if row else 0


def check_problem(answer: Answer, status: int, code: str) -> dict[str, Any]:
    """Assert that an answer is a problem as every error is said; return it."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json
    assert problem["error"] == code, problem
    assert problem["status"] == status
    assert problem["message"] == problem["detail"] != ""
    assert problem["title"]
    assert problem["type"] == f"urn:fairslot:error:{code.lower().replace('_', '-')}"
    assert ("details" in problem) == (code in DETAILED)
    return problem


@dataclass(frozen=True)
class Queues:
    """Queues of a test's own, by their environment variables."""

    sqs: "SQSClient"
    urls: dict[str, str]

    @classmethod
    def make(cls, sqs: "SQSClient") -> "Queues":
        """Make all of the queues that the functions inside the VPC send to."""
        name = uuid4().hex
        return cls(
            sqs,
            {
                f"{kind}_QUEUE_URL": sqs.create_queue(QueueName=f"{name}-{kind}")["QueueUrl"]
                for kind in ("DELIVERIES", "FETCHES")
            },
        )

    def take(self, kind: str) -> list[dict[str, Any]]:
        """Take out every message of a queue."""
        url = self.urls[f"{kind}_QUEUE_URL"]
        bodies = []
        while messages := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                bodies.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return bodies

    def delayed(self, kind: str) -> int:
        """Return how many messages of a queue are there that nobody can receive yet."""
        name: Literal["ApproximateNumberOfMessagesDelayed"] = "ApproximateNumberOfMessagesDelayed"
        url = self.urls[f"{kind}_QUEUE_URL"]
        return int(self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])


def batch(*bodies: str) -> dict[str, Any]:
    """Return the event that Lambda makes of messages of a queue; their ids are their positions."""
    return {
        "Records": [
            {
                "messageId": str(position),
                "receiptHandle": str(position),
                "body": body,
                "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "0"},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:queue",
                "awsRegion": "us-east-1",
            }
            for position, body in enumerate(bodies)
        ]
    }
