"""Tokens for IAM are those that AWS's own libraries make, and each connection gets a new one."""

from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace

import boto3
import botocore.auth
import pytest
from botocore.credentials import Credentials
from botocore.hooks import HierarchicalEmitter
from botocore.model import ServiceId
from botocore.signers import RequestSigner
from psycopg.conninfo import conninfo_to_dict

from fairslot.platform import aws, cache, db, iam
from fairslot.platform.settings import settings

HOST, PORT, USER = "database.abc.eu-central-1.rds.amazonaws.com", 5432, "fairslot_app"
URL = f"postgresql://{USER}@{HOST}:{PORT}/fairslot?sslmode=verify-full&sslrootcert=/opt/rds.pem"
KEYS = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "a+session/token=")


@pytest.fixture(autouse=True)
def function(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A function's environment: its region and its role's credentials."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    for name, value in zip(names, KEYS, strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.setenv("DATABASE_AUTH", "iam")
    _forget()
    yield
    monkeypatch.undo()
    _forget()


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The instant that signatures are made at."""
    clock = SimpleNamespace(now=datetime(2026, 11, 28, 12, tzinfo=UTC))
    monkeypatch.setattr(
        botocore.auth, "get_current_datetime", lambda *_, **__: clock.now.replace(tzinfo=None)
    )
    return clock


def _forget() -> None:
    settings.cache_clear()
    aws.session.cache_clear()
    cache.close()


def test_the_database_token_is_that_of_the_sdk(at: SimpleNamespace) -> None:
    """Byte for byte what boto3 signs."""
    theirs = boto3.client("rds").generate_db_auth_token(DBHostname=HOST, Port=PORT, DBUsername=USER)
    assert iam.database_token(HOST, PORT, USER) == theirs


def test_the_cache_token_is_that_of_the_sdk(at: SimpleNamespace) -> None:
    """Byte for byte what botocore signs for the request that ElastiCache asks for."""
    events = HierarchicalEmitter()  # the signer does not keep it
    signer = RequestSigner(
        ServiceId("elasticache"), "eu-central-1", "elasticache", "v4", Credentials(*KEYS), events
    )
    request = {
        "url": "https://fairslot-dev/?Action=connect&User=fairslot-dev-functions&ResourceType=ServerlessCache",
        "method": "GET",
        "body": {},
        "headers": {},
        "context": {},
        "url_path": "/",
        "query_string": {},
    }
    theirs = signer.generate_presigned_url(request, operation_name="connect", expires_in=900)
    assert iam.cache_token("fairslot-dev", "fairslot-dev-functions") == theirs.removeprefix("https://")


def test_each_connection_gets_a_token_of_its_own(at: SimpleNamespace) -> None:
    """A process lives longer than the quarter of an hour of a token."""
    first = conninfo_to_dict(db.address())
    at.now = datetime(2026, 11, 28, 13, tzinfo=UTC)
    second = conninfo_to_dict(db.address())
    assert "X-Amz-Date=20261128T120000Z" in str(first["password"])
    assert "X-Amz-Date=20261128T130000Z" in str(second["password"])
    assert (second["host"], second["user"], second["sslmode"]) == (HOST, USER, "verify-full")


def test_a_url_with_a_password_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere than on AWS nothing is signed."""
    monkeypatch.setenv("DATABASE_AUTH", "password")
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:mine@here/fairslot")
    settings.cache_clear()
    assert db.address() == "postgresql://me:mine@here/fairslot"


def test_each_connection_to_the_cache_gets_a_token_of_its_own(
    at: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client asks for one whenever it connects."""
    monkeypatch.setenv("REDIS_URL", "rediss://cache.example:6379/0")
    monkeypatch.setenv("REDIS_IAM", "fairslot-dev-functions@fairslot-dev")
    settings.cache_clear()
    provider = cache.client().connection_pool.connection_kwargs["credential_provider"]
    user, first = provider.get_credentials()
    at.now = datetime(2026, 11, 28, 13, tzinfo=UTC)
    assert user == "fairslot-dev-functions"
    assert first != provider.get_credentials()[1]
