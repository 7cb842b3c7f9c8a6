"""`ministack` as the stand-in for SQS and KMS: only these, loopback only, with persistent state.

It has an environment of its own, `.tools/ministack`, because it pins botocore.
"""

import os
import signal
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.processes import Child, Program, StartError, free_port, library_path, spawn

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_sqs import SQSClient

_SERVER = Path(__file__).with_name("sqs_server.py")
_PYTHON = Path(__file__).parents[1] / ".tools" / "ministack" / "bin" / "python"

REGION = "us-east-1"
ACCOUNT = "000000000000"


class SqsStandIn(Program):
    """One service; `stop()` saves queues, messages and keys, `start()` loads them."""

    stop_seconds = 5.0

    def __init__(self, data_dir: Path, *, log: Path | None = None) -> None:
        super().__init__(log or data_dir / "logs" / "sqs.log", free_port())
        self._state = data_dir / "sqs"
        # Messages sent before this are lost: it was killed. None if it was shut down cleanly.
        self.lost_before: datetime | None = None

    @property
    def url(self) -> str:
        """The address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def endpoint_url(self) -> str:
        """The address, as boto3 names it."""
        return self.url

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which boto3 finds this service."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            # Ignore the proxy and the AWS account of the person who runs this.
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def client(self) -> "SQSClient":
        """Return a boto3 client of the queues."""
        import boto3

        return boto3.client("sqs", **self._access())

    def make_key(self, alias: str) -> None:
        """Make a key with this alias, such as `alias/webhooks`, if there is none."""
        import boto3

        kms: KMSClient = boto3.client("kms", **self._access())
        try:
            pages = kms.get_paginator("list_aliases").paginate()
            if not any(one["AliasName"] == alias for page in pages for one in page["Aliases"]):
                key = kms.create_key()["KeyMetadata"]["KeyId"]
                kms.create_alias(AliasName=alias, TargetKeyId=key)
        finally:
            kms.close()

    def _access(self) -> dict[str, Any]:
        from botocore.config import Config

        return {
            "endpoint_url": self.endpoint_url,
            "region_name": REGION,
            "aws_access_key_id": "test",
            "aws_secret_access_key": "test",  # the stand-in accepts any
            "config": Config(proxies={}),  # ignore the caller's proxy
        }

    def _spawn(self) -> Child:
        if not _PYTHON.exists():
            raise StartError("the SQS stand-in is not installed: run `make install`")
        self._state.mkdir(parents=True, exist_ok=True)
        self._state.chmod(0o700)
        unsaved = self._state / "unsaved"
        self.lost_before = datetime.now(UTC) if unsaved.exists() else None
        unsaved.touch()
        return spawn(
            [_PYTHON, "-P", _SERVER, str(self.port), unsaved],
            log=self.log,
            env=self._environment(),
            death_signal=signal.SIGTERM,  # it saves its state then
        )

    def _environment(self) -> dict[str, str]:
        state = str(self._state.resolve())
        return {
            **library_path(),
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": state,
            "TMPDIR": state,
            "SERVICES": "sqs,kms",
            "PERSIST_STATE": "1",
            "STATE_DIR": state,
            # It stores queues under this port, whatever port it listens on, so that the next run finds them;
            # the addresses it returns follow the caller's Host.
            "GATEWAY_PORT": "4566",
            "MINISTACK_REGION": REGION,
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "DOCKER_HOST": "unix:///nonexistent",  # it would remove containers
            "LOG_LEVEL": "WARNING",
        }

    def _is_ready(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/_ministack/health")
            return connection.getresponse().status == HTTPStatus.OK
        except (HTTPException, OSError):
            return False
        finally:
            connection.close()
