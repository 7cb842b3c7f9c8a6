"""An empty AWS account on this machine: ministack, in an environment of its own, with `tests/standin`."""

import json
import os
from collections.abc import Iterator
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local.processes import Child, Program, StartError, free_port, library_path, spawn
from local.sqs import ACCOUNT, REGION

ROOT = Path(__file__).parents[2]
_TOOLS = ROOT / ".tools"
_PYTHON = _TOOLS / "standin" / "bin" / "python"
_SAM = _TOOLS / "sam" / "bin" / "sam"


class AwsAccount(Program):
    """One account in one region, kept in memory; who has the key `test` is its root user."""

    start_seconds = 120.0
    stop_seconds = 20.0

    def __init__(self, folder: Path, *, postgres: str, valkey: str, variables: dict[str, str]) -> None:
        super().__init__(folder / "account.log", free_port())
        self.folder = folder
        # Vouches for the database's and the cache's endpoints.
        self.authority = folder / "authority.pem"
        self._stdin = {
            "port": self.port,
            "postgres": postgres,
            "valkey": valkey,
            "authority": str(self.authority),
        }
        self._variables = variables
        # One session reads botocore's lists once, for all services.
        self._session = boto3.Session()
        self._clients: dict[str, Any] = {}

    @property
    def url(self) -> str:
        """The address of every service."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to work in this account and in no other."""
        return {
            **library_path(),
            "PATH": f"{_SAM.parent}:{os.environ.get('PATH', os.defpath)}",
            "HOME": str(self.folder),
            "TMPDIR": str(self._made("tools")),
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def client(self, service: str) -> Any:
        """Return a boto3 client of the root user."""
        if service not in self._clients:
            self._clients[service] = self._session.client(
                service,  # type: ignore[call-overload]
                endpoint_url=self.url,
                region_name=REGION,
                aws_access_key_id="test",
                aws_secret_access_key="test",
                config=Config(proxies={}, read_timeout=300, retries={"total_max_attempts": 1}),
            )
        return self._clients[service]

    def denials(self) -> Iterator[dict[str, str]]:
        """Give every call that was denied so far, and to whom."""
        for line in self.log.read_text("utf-8", "replace").splitlines():
            if line.startswith('{"denied"'):
                yield json.loads(line)

    def _spawn(self) -> Child:
        if not _PYTHON.exists():
            raise StartError("the AWS stand-in is not installed: run `make test-deploy`")
        return spawn(
            [_PYTHON, "-m", "tests.standin"],
            log=self.log,
            stdin=json.dumps(self._stdin).encode(),
            env={
                **library_path(),
                **self._variables,
                "PYTHONPATH": str(ROOT),
                "PATH": os.environ.get("PATH", os.defpath),
                "HOME": str(self.folder),
                "TMPDIR": str(self._made("tmp")),
                "SSL_CERT_FILE": str(self.authority),
                "AUTH": "true",
                "GATEWAY_PORT": str(self.port),
                "MINISTACK_HOST": "127.0.0.1",
                "MINISTACK_REGION": REGION,
                "MINISTACK_ACCOUNT_ID": ACCOUNT,
                "S3_DATA_DIR": str(self._made("s3")),
                "SFTP_ENABLED": "0",
                "IOT_MTLS_ENABLED": "0",
                "DOCKER_HOST": "unix:///nonexistent",  # it would remove containers
                "LOG_LEVEL": "INFO",
            },
        )

    def _made(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _is_ready(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/_ministack/health")
            return connection.getresponse().status == HTTPStatus.OK
        except (HTTPException, OSError):
            return False
        finally:
            connection.close()
