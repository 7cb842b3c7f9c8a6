"""What is to be deployed: a stage of samconfig.toml, with the region and the address that were given."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from local.cloudformation import Resolver, load

ROOT = Path(__file__).parents[2]
# Superusers' own (3), and what RDS keeps open to watch.
KEPT_BACK = 15


@cache
def template() -> dict[str, Any]:
    """Return the whole template."""
    return load(ROOT / "template.yaml")


class RefusedError(Exception):
    """It is not done; the message says what is wrong and what to change."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A stage, its stack and region, and the template's parameters that differ from their defaults."""

    stage: str
    stack: str
    region: str
    parameters: dict[str, str]

    @property
    def resolver(self) -> Resolver:
        """What evaluates the template's expressions with these parameters; resources have no values."""
        return Resolver(template(), self.parameters, lambda name, _: name)

    def parameter(self, name: str) -> str:
        """Return a parameter's value: what is given, or its default."""
        return str(self.resolver.value({"Ref": name}))


def read(
    stage: str,
    *,
    region: str | None,
    email: str | None,
    boundary: str | None = None,
    config: Path | None = None,
) -> Plan:
    """Return the plan of a stage.

    Raises:
        RefusedError: samconfig.toml has no such stage.

    """
    stages = tomllib.loads((config or ROOT / "samconfig.toml").read_text("utf-8"))
    if stage not in stages:
        known = " and ".join(name for name in stages if name != "version")
        raise RefusedError(f"samconfig.toml has no stage {stage}: it has {known}.")
    shared, deploy = stages[stage]["global"]["parameters"], stages[stage]["deploy"]["parameters"]
    parameters = dict(one.split("=", 1) for one in deploy["parameter_overrides"])
    if email:
        parameters["AlarmEmail"] = email
    if boundary:
        parameters["PermissionsBoundary"] = boundary
    return Plan(
        stage=stage,
        stack=shared["stack_name"],
        region=region or shared["region"],
        parameters=parameters,
    )


def reserved(plan: Plan) -> dict[str, int]:
    """Return how many of each function may run at a time; empty where nothing is reserved."""
    functions = {
        name: one["Properties"]
        for name, one in template()["Resources"].items()
        if one["Type"] == "AWS::Serverless::Function"
    }
    found = {
        name: plan.resolver.value(one.get("ReservedConcurrentExecutions")) for name, one in functions.items()
    }
    return {name: int(number) for name, number in found.items() if number is not None}


def connections(plan: Plan) -> tuple[int, int]:
    """Return how many connections the functions may have open, and how many the database takes.

    Those inside the VPC open them. Twice as many as may run: after a deployment what the old code opened is
    still there beside the new code's.
    """
    inside = {
        name for name, one in template()["Resources"].items() if "VpcConfig" in one.get("Properties", {})
    }
    opened = 2 * sum(number for name, number in reserved(plan).items() if name in inside) + KEPT_BACK
    classes = template()["Mappings"]["DatabaseClasses"]
    return opened, int(classes[plan.parameter("DatabaseClass")]["MaxConnections"])
