"""Postgres, Valkey and the queues as the stack and the tests start them."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
import redis
from botocore.config import Config
from redis.backoff import NoBackoff
from redis.retry import Retry

from local import postgres_account
from local.function_env import PYTHONPATH
from local.postgres import EmbeddedPostgres
from local.processes import StartError
from local.sqs import REGION, SqsStandIn
from local.valkey import EmbeddedValkey
from tests.integration.local.endings import wait_for, wait_for_end

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user has no account to change to")

_USE = """
import sys
from pathlib import Path
import psycopg
from local import postgres_account
from local.postgres import EmbeddedPostgres
postgres_account.installation = lambda: Path(sys.argv[2])
with EmbeddedPostgres(Path(sys.argv[1])) as postgres, psycopg.connect(postgres.url) as connection:
    print(connection.execute("SELECT 'it works'").fetchone()[0], postgres.data)
"""


@pytest.fixture
def own_postgres(tmp_path: Path) -> EmbeddedPostgres:
    """A Postgres of the test's own, not yet started."""
    return EmbeddedPostgres(tmp_path)


def count(postgres: EmbeddedPostgres) -> int:
    """Return how many rows the table `kept` has, making it with one row the first time."""
    with psycopg.connect(postgres.url) as connection:
        if connection.execute("SELECT to_regclass('kept') IS NULL AS missing").fetchone() == (True,):
            connection.execute("CREATE TABLE kept AS SELECT 1 AS number")
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
        assert row is not None
        return int(row[0])


def test_postgres_is_as_it_is_deployed(own_postgres: EmbeddedPostgres) -> None:
    """Version 18, UTF-8, what is committed is on the disk, and our role is no superuser."""
    with own_postgres, psycopg.connect(own_postgres.url) as connection:
        assert connection.execute("SHOW server_version_num").fetchone() > ("180000",)  # type: ignore[operator]
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)
        assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
        roles = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
        assert roles == (False,)
        with psycopg.connect(own_postgres.admin_url()) as admin:
            assert admin.execute("SHOW is_superuser").fetchone() == ("on",)


def test_nobody_gets_in_without_the_password(postgres: EmbeddedPostgres) -> None:
    """Other users of the machine reach loopback too."""
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.url, password="guessed")


def test_postgres_keeps_data_and_address_over_a_restart(own_postgres: EmbeddedPostgres) -> None:
    """And over a new object on the same folder, with another port."""
    with own_postgres:
        count(own_postgres)
        before = own_postgres.url
        own_postgres.stop()
        own_postgres.start()
        assert own_postgres.url == before
        assert count(own_postgres) == 1


def test_postgres_starts_after_a_crash(own_postgres: EmbeddedPostgres) -> None:
    """Even where the number that it left is by now another program's."""
    with own_postgres:
        count(own_postgres)
        assert own_postgres.pid is not None
        os.kill(own_postgres.pid, signal.SIGKILL)
        lock = own_postgres.data / "postmaster.pid"
        lines = lock.read_text().splitlines()
        own_postgres.stop()
        lock.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
        own_postgres.start()
        assert count(own_postgres) == 1


def test_postgres_starts_after_a_crash_while_it_started(own_postgres: EmbeddedPostgres) -> None:
    """A lock file that nothing was written to yet stays behind; one that is being written is left alone."""
    with own_postgres:
        count(own_postgres)
        own_postgres.stop()
        lock = own_postgres.data / "postmaster.pid"
        lock.touch()
        with pytest.raises(StartError, match="ended with code 1 while starting"):
            own_postgres.start()
        assert lock.exists()
        earlier = lock.stat().st_mtime - 1
        os.utime(lock, (earlier, earlier))
        own_postgres.start()
        assert count(own_postgres) == 1


def test_what_keeps_postgres_from_starting_is_in_the_error(tmp_path: Path) -> None:
    """With its log, which says why."""
    broken = EmbeddedPostgres(tmp_path, settings={"shared_buffers": "none"})
    with pytest.raises(StartError, match="postgres ended with code 1") as raised:
        broken.start()
    assert raised.value.log is not None
    assert "shared_buffers" in raised.value.log.read_text()
    broken.stop()


@needs_root
@pytest.mark.parametrize(
    "capabilities",
    [[], ["setpriv", "--inh-caps=-all", "--bounding-set=-dac_read_search,-dac_override", "--"]],
    ids=["with the capability", "without it"],
)
def test_root_runs_postgres_where_nobody_can_look(tmp_path: Path, capabilities: list[str]) -> None:
    """As in a clone under /root: with the capability to search folders, and else at another place."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    package = postgres_account.installation().parent
    for part in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(part, closed / part.name, ignore=shutil.ignore_patterns("include", "*.a"))
    ran = subprocess.run(
        [
            *capabilities,
            sys.executable,
            "-c",
            _USE,
            str(closed / "data"),
            str(closed / package.name / "pginstall"),
        ],
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout.startswith("it works"), ran.stderr
    where = Path(ran.stdout.split()[-1])
    assert where.is_relative_to(closed) != bool(capabilities)
    if capabilities:
        shutil.rmtree(where.parents[1])


def test_valkey_answers_at_its_address_and_comes_back_empty(tmp_path: Path) -> None:
    """Only with the password, which is part of the address."""
    with EmbeddedValkey(tmp_path) as valkey:
        with redis.Redis.from_url(valkey.url) as client:
            client.set("kept", "no")
        with (
            redis.Redis(port=valkey.port, retry=Retry(NoBackoff(), 0)) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.ping()
        valkey.stop()
        valkey.start()
        with redis.Redis.from_url(valkey.url) as client:
            assert client.get("kept") is None


def test_the_queues_keep_their_messages_over_a_restart(tmp_path: Path) -> None:
    """At another port too, with an address that says so."""
    with SqsStandIn(tmp_path) as before:
        queue = before.client().create_queue(QueueName="kept")["QueueUrl"]
        before.client().send_message(QueueUrl=queue, MessageBody="still there")
    with SqsStandIn(tmp_path) as after:
        found = after.client().get_queue_url(QueueName="kept")["QueueUrl"]
        assert found.startswith(after.endpoint_url)
        messages = after.client().receive_message(QueueUrl=found)["Messages"]
        assert [one["Body"] for one in messages] == ["still there"]


def test_the_keys_are_kept_even_if_the_service_is_killed(tmp_path: Path) -> None:
    """What a lost key locked up, nobody opens again."""
    with SqsStandIn(tmp_path) as service:
        access: Any = {"region_name": REGION, "aws_access_key_id": "test", "aws_secret_access_key": "test"}
        kms = boto3.client("kms", endpoint_url=service.url, config=Config(proxies={}), **access)
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        locked = kms.encrypt(KeyId=key, Plaintext=b"secret")["CiphertextBlob"]
        wait_for((tmp_path / "sqs" / "kms.json").exists)
        assert service.pid is not None
        os.kill(service.pid, signal.SIGKILL)
        service.stop()
        service.start()
        assert kms.decrypt(KeyId=key, CiphertextBlob=locked)["Plaintext"] == b"secret"
        kms.close()


def test_a_killed_starter_takes_its_programs_with_it(tmp_path: Path) -> None:
    """Postgres and the queues in good order: they have data to save."""
    start = """
import os, signal, sys
from pathlib import Path
from local.postgres import EmbeddedPostgres
from local.sqs import REGION, SqsStandIn
from local.valkey import EmbeddedValkey
parts = [part(Path(sys.argv[1])) for part in (EmbeddedPostgres, EmbeddedValkey, SqsStandIn)]
for part in parts:
    part.start()
parts[2].client().create_queue(QueueName="kept")
print(*(part.pid for part in parts), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH}
    ran = subprocess.run(
        [sys.executable, "-c", start, str(tmp_path)], env=environment, stdout=subprocess.PIPE, check=False
    )
    for pid in ran.stdout.split():
        wait_for_end(int(pid))
    assert "database system is shut down" in (tmp_path / "logs" / "postgres.log").read_text()
    assert (tmp_path / "sqs" / "sqs.json").exists()
