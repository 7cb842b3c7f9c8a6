"""Reads template.yaml for the tests, with CloudFormation's short tags as their long forms."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's tags."""


def _tag(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    """Return `!Name value` as `{"Fn::Name": value}`, `!Ref` as `{"Ref": …}`."""
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    else:
        raise TypeError(node)
    return {suffix if suffix == "Ref" else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _tag)


@cache
def template() -> dict[str, Any]:
    """Return the whole template."""
    # _Loader is a SafeLoader.
    loaded: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text("utf-8"), Loader=_Loader)  # noqa: S506
    return loaded


def resources(kind: str) -> dict[str, dict[str, Any]]:
    """Return the properties of the resources of one type, by logical id."""
    found = template()["Resources"].items()
    return {name: one["Properties"] for name, one in found if one["Type"] == kind}


def functions() -> dict[str, dict[str, Any]]:
    """Return the properties of the functions, those of Globals filled in."""
    shared = template()["Globals"]["Function"]
    return {name: shared | own for name, own in resources("AWS::Serverless::Function").items()}


def environment(function: dict[str, Any]) -> dict[str, Any]:
    """Return a function's own variables."""
    variables: dict[str, Any] = function["Environment"]["Variables"]
    return variables


def queue_of(value: dict[str, Any]) -> str:
    """Return the logical id of the queue that a `!Ref` or `!GetAtt` names."""
    name: str = value.get("Ref") or value["Fn::GetAtt"]
    return name.partition(".")[0]


def sources(kind: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the event sources of one type, each with its function's logical id."""
    return [
        (name, event["Properties"])
        for name, one in functions().items()
        for event in one.get("Events", {}).values()
        if event["Type"] == kind
    ]


def statements(function: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the function's own role, or the policies written for it alone, allow."""
    if "Role" in function:
        role = resources("AWS::IAM::Role")[queue_of(function["Role"])]
        return [each for policy in role["Policies"] for each in policy["PolicyDocument"]["Statement"]]
    return [each for policy in function.get("Policies", []) for each in policy.get("Statement", [])]


def shared_policies(function: dict[str, Any]) -> set[str]:
    """Return the logical ids of the template's managed policies that a function has."""
    given = function.get("Policies", [])
    if "Role" in function:
        given = resources("AWS::IAM::Role")[queue_of(function["Role"])]["ManagedPolicyArns"]
    return {each["Ref"] for each in given if "Ref" in each}


def parameter(name: str, given: dict[str, str] | None = None) -> str:
    """Return the value of a parameter: what is given, or its default."""
    return str((given or {}).get(name, template()["Parameters"][name]["Default"]))


def stages() -> dict[str, dict[str, str]]:
    """Return the parameters of each stage in samconfig.toml."""
    read = tomllib.loads((ROOT / "samconfig.toml").read_text("utf-8"))
    return {
        name: dict(one.split("=", 1) for one in read[name]["deploy"]["parameters"]["parameter_overrides"])
        for name in ("dev", "prod")
    }
