"""What the deployed functions' roles allow, right by right, and how to take one away for a while."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from local.sqs import ACCOUNT
from tests.support.cloudformation import functions
from tests.support.deployment import Deployment

# A policy of a role: its name and its document.
type Policies = dict[str, dict[str, Any]]


@dataclass(frozen=True, order=True)
class Right:
    """One action on one resource that a function's role allows; both named as in the template."""

    function: str
    action: str
    on: str

    def __str__(self) -> str:
        """Name it in the test's name."""
        return f"{self.function}-{self.action}-{self.on}"


# What is left of a policy while a right is away.
_LEFT = "left"


def _single(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a policy's statements as ones of a single action on a single resource."""
    return [
        statement | {"Action": action, "Resource": resource}
        for statement in document["Statement"]
        for action in _listed(statement["Action"])
        for resource in _listed(statement["Resource"])
    ]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@dataclass
class Roles:
    """The roles of a deployment's functions."""

    deployment: Deployment

    @property
    def _iam(self) -> Any:
        return self.deployment.account.client("iam")

    def role_of(self, function: str) -> str:
        """Return the name of a function's role."""
        return self._roles[function]

    @cached_property
    def _roles(self) -> dict[str, str]:
        client, ids = self.deployment.account.client("lambda"), self.deployment.id_of
        found = {
            name: client.get_function_configuration(FunctionName=ids(name))["Role"] for name in functions()
        }
        return {name: arn.rpartition("/")[2] for name, arn in found.items()}

    def policies(self, role: str) -> Policies:
        """Return the policies that are the role's own, and those of the template that are attached to it."""
        names = self._iam.list_role_policies(RoleName=role)["PolicyNames"]
        own = {
            name: self._iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            for name in names
        }
        return own | {arn: self._managed(arn) for arn in self._attached(role)}

    def _attached(self, role: str) -> list[str]:
        attached = self._iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
        return [one["PolicyArn"] for one in attached if f":{ACCOUNT}:" in one["PolicyArn"]]

    def _managed(self, arn: str) -> dict[str, Any]:
        version = self._iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        found = self._iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]
        document: dict[str, Any] = found["Document"]
        return document

    def rights(self, function: str) -> set[Right]:
        """Return what a function's role allows, but for AWS's own policies: logs and network."""
        return {
            Right(function, one["Action"], self._name_of(one["Resource"]))
            for document in self.policies(self.role_of(function)).values()
            for one in _single(document)
        }

    @contextmanager
    def without(self, right: Right) -> Iterator[None]:
        """Take one right away until the end of the block."""
        role = self.role_of(right.function)
        before = self.policies(role)
        less = {name: self._less(document, right) for name, document in before.items()}
        changed = [name for name in before if len(less[name]["Statement"]) < len(_single(before[name]))]
        assert len(changed) == 1, f"{right} is in {len(changed)} policies"
        # At no moment without the others: functions are at work meanwhile.
        try:
            for name in changed:
                if less[name]["Statement"]:
                    self._put(role, _LEFT, less[name])
                self._detach(role, name)
            yield
        finally:
            for name in changed:
                self._attach(role, name, before[name])
                if less[name]["Statement"]:
                    self._iam.delete_role_policy(RoleName=role, PolicyName=_LEFT)

    def boundary(self, function: str) -> str:
        """Return the ARN of the policy that bounds a function's role, or nothing."""
        role = self._iam.get_role(RoleName=self.role_of(function))["Role"]
        return str(role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", ""))

    def beyond_its_boundary(self, function: str) -> list[tuple[str, str]]:
        """Return each action on an ARN that a function's own policies allow and its boundary does not."""
        within = _single(self._managed(self.boundary(function)))
        return [
            (one["Action"], one["Resource"])
            for document in self.policies(self.role_of(function)).values()
            for one in _single(document)
            if not any(
                fnmatchcase(one["Action"], most["Action"]) and fnmatchcase(one["Resource"], most["Resource"])
                for most in within
            )
        ]

    @contextmanager
    def bounded(self, function: str, *, without: str) -> Iterator[None]:
        """Bound a function's role by everything but one action until the end of the block."""
        role, before = self.role_of(function), self.boundary(function)
        statement = {"Effect": "Allow", "NotAction": without, "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        made = self._iam.create_policy(PolicyName="narrower", PolicyDocument=document)["Policy"]["Arn"]
        try:
            self._iam.put_role_permissions_boundary(RoleName=role, PermissionsBoundary=made)
            yield
        finally:
            self._iam.put_role_permissions_boundary(RoleName=role, PermissionsBoundary=before)
            self._iam.delete_policy(PolicyArn=made)

    def _detach(self, role: str, name: str) -> None:
        if name.startswith("arn:"):
            self._iam.detach_role_policy(RoleName=role, PolicyArn=name)
        else:
            self._iam.delete_role_policy(RoleName=role, PolicyName=name)

    def _attach(self, role: str, name: str, document: dict[str, Any]) -> None:
        if name.startswith("arn:"):
            self._iam.attach_role_policy(RoleName=role, PolicyArn=name)
        else:
            self._put(role, name, document)

    def _put(self, role: str, name: str, document: dict[str, Any]) -> None:
        self._iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))

    def _less(self, document: dict[str, Any], right: Right) -> dict[str, Any]:
        """Return a policy without a right."""
        left = [
            one
            for one in _single(document)
            if (one["Action"], self._name_of(one["Resource"])) != (right.action, right.on)
        ]
        return document | {"Statement": left}

    def _name_of(self, arn: str) -> str:
        """Return the template's name of a resource; of a role in the database its own."""
        kind, last = arn.split(":")[5].partition("/")[0], arn.rpartition(":")[2].rpartition("/")[2]
        if ":rds-db:" in arn:
            return last
        found = [one for one in self.deployment.resources if one["PhysicalResourceId"].endswith(last)]
        # Some of one name are of different kinds.
        found = [one for one in found if one["ResourceType"].lower().endswith(f":{kind}")] or found
        return str(found[0]["LogicalResourceId"]) if found else arn

    def named(self, denial: dict[str, str]) -> Right:
        """Return the right that somebody was denied."""
        who = denial["to"].rpartition(":assumed-role/")[2].partition("/")[0]
        function = next((name for name in functions() if self.role_of(name) == who), who)
        return Right(function, denial["denied"], self._name_of(denial["on"]))

    def was_denied(self, right: Right, since: int) -> bool:
        """Return whether the function was denied the right after so many denials."""
        return right in map(self.named, list(self.deployment.account.denials())[since:])
