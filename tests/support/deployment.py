"""What `sam deploy` makes of the template in the stand-in's account, and how to talk to it."""

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.account import ROOT, AwsAccount

# The name of a stage: the boundary of its roles names what they reach by it.
STACK = "fairslot-dev"
_SAM_SECONDS = 600


def built_here(folder: Path, authority: Path) -> Path:
    """Copy what `make` built into `folder`; what is compiled for Lambda's processor is this machine's.

    `authority` is the certificate that vouches for the database, in place of RDS's own. Nothing else differs
    from what would be deployed.
    """
    built = ROOT / ".aws-sam" / "build"
    assert built.is_dir(), "run `make test-deploy`, which builds first"
    shutil.copytree(built, folder)
    layer, ours = folder / "CommonLayer" / "python", Path(sysconfig.get_path("platlib"))
    for name in sorted({file.relative_to(layer).parts[0] for file in layer.rglob("*.so*")}):
        there = layer / name
        shutil.rmtree(there) if there.is_dir() else there.unlink()
        # A single module is named after its platform; so are the copies of C libraries.
        for one in ours.glob(f"{name.partition('.')[0]}*"):
            if one.suffix != ".dist-info" and not (layer / one.name).exists():
                copy = shutil.copytree if one.is_dir() else shutil.copy
                copy(one, layer / one.name)
    certificates = folder / "CommonLayer" / "certificates"
    certificates.mkdir(exist_ok=True)
    shutil.copy(authority, certificates / "rds.pem")
    return folder


@dataclass
class Deployment:
    """One stack of the template, deployed from `built`, a folder as `sam build` makes it."""

    account: AwsAccount
    built: Path
    parameters: Mapping[str, str]
    key: str = ""
    said: list[str] = field(default_factory=list)

    def sam(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the SAM command line in the account."""
        done = subprocess.run(
            ["sam", *arguments, "--stack-name", STACK],
            cwd=self.account.folder,
            env=self.account.environment | {"SAM_CLI_TELEMETRY": "0"},
            capture_output=True,
            text=True,
            check=False,
            timeout=_SAM_SECONDS,
        )
        self.said.append(done.stdout + done.stderr)
        return done

    def try_deploy(self) -> subprocess.CompletedProcess[str]:
        """Deploy what is in `built`, which may fail."""
        self.__dict__.pop("resources", None)
        return self.sam(
            *("deploy", "--template-file", str(self.built / "template.yaml"), "--resolve-s3"),
            *("--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset", "--no-progressbar"),
            *("--parameter-overrides", *(f"{name}={value}" for name, value in self.parameters.items())),
        )

    def deploy(self) -> None:
        """Deploy what is in `built`."""
        done = self.try_deploy()
        if done.returncode != 0:
            pytest.fail(f"{done.stdout}\n{done.stderr}\n{self.failures()}")

    def failures(self) -> list[str]:
        """Return why resources failed, as CloudFormation tells it."""
        events = self.account.client("cloudformation").describe_stack_events(StackName=STACK)["StackEvents"]
        return [
            f"{one['LogicalResourceId']}: {one.get('ResourceStatusReason')}"
            for one in events
            if one["ResourceStatus"].endswith("FAILED")
        ]

    @property
    def stack(self) -> dict[str, Any]:
        """What CloudFormation says of the stack."""
        found: dict[str, Any] = self.account.client("cloudformation").describe_stacks(StackName=STACK)
        stack: dict[str, Any] = found["Stacks"][0]
        return stack

    @property
    def outputs(self) -> dict[str, str]:
        """The stack's outputs."""
        return {one["OutputKey"]: one["OutputValue"] for one in self.stack["Outputs"]}

    @cached_property
    def resources(self) -> list[dict[str, str]]:
        """The stack's resources, as CloudFormation lists them."""
        pages = self.account.client("cloudformation").get_paginator("list_stack_resources")
        return [one for page in pages.paginate(StackName=STACK) for one in page["StackResourceSummaries"]]

    def id_of(self, resource: str) -> str:
        """Return the physical id of a resource of the template."""
        found = (one for one in self.resources if one["LogicalResourceId"] == resource)
        return next(found)["PhysicalResourceId"]

    def variables(self, function: str) -> dict[str, str]:
        """Return a function's environment."""
        client = self.account.client("lambda")
        found = client.get_function_configuration(FunctionName=self.id_of(function))
        variables: dict[str, str] = found["Environment"]["Variables"]
        return variables

    def try_invoke(self, function: str, event: bytes) -> bytes:
        """Invoke a function, which may fail; return its answer."""
        answer = self.account.client("lambda").invoke(FunctionName=self.id_of(function), Payload=event)
        body: bytes = answer["Payload"].read()
        return body

    def invoke(self, function: str, event: bytes = b"{}", version: str = "$LATEST") -> bytes:
        """Invoke a function, which has to succeed, and return its answer."""
        answer = self.account.client("lambda").invoke(
            FunctionName=self.id_of(function), Payload=event, Qualifier=version
        )
        body: bytes = answer["Payload"].read()
        assert "FunctionError" not in answer, body
        return body

    def api(self) -> httpx.Client:
        """Return a client with the first key, at the address that CloudFront gives.

        That name is not resolved: the stand-in goes by the Host of a request. TLS ends before it.
        """
        distribution = self.account.client("cloudfront").get_distribution(Id=self.id_of("Distribution"))
        return httpx.Client(
            base_url=self.account.url,
            headers={
                "Host": distribution["Distribution"]["DomainName"],
                "X-Forwarded-Proto": "https",
                "X-API-Key": self.key,
            },
            timeout=60,
        )

    def direct(self) -> httpx.Client:
        """Return a client with the first key that goes past CloudFront."""
        return httpx.Client(
            base_url=f"{self.account.url}/_aws/execute-api/{self.id_of('HttpApi')}/",
            headers={"X-API-Key": self.key},
            timeout=60,
        )


def own_processes(folder: Path) -> list[int]:
    """Return the processes that run with the account's temporary folder."""
    mark = f"TMPDIR={folder / 'tmp'}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return [one for one in found if one != os.getpid()]
