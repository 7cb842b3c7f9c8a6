"""What GitHub Actions runs, and what the role may do by which it deploys."""

import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.cloudformation import load
from tests.support.cloudformation import ROOT, functions, resources, stages, statements, template
from tools.deploy.checks import RIGHTS

WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text("utf-8")) for path in (ROOT / ".github/workflows").glob("*.yml")
}
ROLES = load(ROOT / "ci/roles.yaml")["Resources"]


def allowed(name: str) -> list[dict[str, Any]]:
    """Return the statements of one of the policies."""
    found: list[dict[str, Any]] = ROLES[name]["Properties"]["PolicyDocument"]["Statement"]
    return found


def jobs() -> list[tuple[str, dict[str, Any]]]:
    """Return every job with its workflow."""
    return [(name, job) for name, workflow in WORKFLOWS.items() for job in workflow["jobs"].values()]


def test_every_action_is_pinned_to_a_commit() -> None:
    """A tag can be moved; what stands beside it says which version the commit is."""
    lines = [
        line
        for path in (ROOT / ".github/workflows").glob("*.yml")
        for line in path.read_text("utf-8").splitlines()
        if "uses:" in line and "./.github/" not in line
    ]
    assert lines
    for line in lines:
        assert re.search(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_do_nothing_that_it_does_not_say(name: str) -> None:
    """No right by default but to read; a token for AWS only in jobs that deploy. There is no secret."""
    assert WORKFLOWS[name]["permissions"] in ({}, {"contents": "read"})
    assert "secrets." not in (ROOT / f".github/workflows/{name}.yml").read_text("utf-8")
    for workflow, job in jobs():
        given = job.get("permissions", {})
        assert set(given) <= {"contents", "id-token"}
        assert ("id-token" not in given) or workflow.startswith("deploy")


def test_nothing_that_others_write_gets_into_a_shell() -> None:
    """An expression in a command would be run as it stands: they come as variables."""
    for _, job in jobs():
        for step in job.get("steps", []):
            assert "${{" not in step.get("run", "")


def test_what_is_deployed_was_tested_and_prod_comes_after_dev() -> None:
    """Each in an environment of its name, which can ask for approval."""
    deploy = WORKFLOWS["deploy"]["jobs"]
    assert (deploy["dev"]["needs"], deploy["prod"]["needs"]) == ("test", "dev")
    assert {deploy[name]["with"]["stage"] for name in ("dev", "prod")} == stages().keys()
    assert WORKFLOWS["deploy-stage"]["jobs"]["deploy"]["environment"] == "${{ inputs.stage }}"
    commands = [step["run"] for step in WORKFLOWS["test"]["jobs"]["test"]["steps"] if "run" in step]
    assert commands == ["make check", "make test", "make template"]


@pytest.mark.parametrize("workflow", ["test", "deploy-stage"])
def test_what_ci_calls_is_a_target(workflow: str, root: Path) -> None:
    """Of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text("utf-8"), re.MULTILINE))
    for job in WORKFLOWS[workflow]["jobs"].values():
        called = [step["run"].split()[:2] for step in job["steps"] if "run" in step]
        assert all(one[0] == "make" and one[1] in targets for one in called)


def test_only_a_job_in_the_environment_gets_the_role() -> None:
    """Of this repository, for AWS."""
    [trust] = ROLES["DeployRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    conditions = trust["Condition"]["StringEquals"]
    assert conditions["token.actions.githubusercontent.com:aud"] == "sts.amazonaws.com"
    assert conditions["token.actions.githubusercontent.com:sub"] == {
        "Fn::Sub": "repo:${Repository}:environment:${Stage}"
    }


def test_roles_are_made_within_the_boundary_alone() -> None:
    """Whatever gives a role rights needs it, but for AWS's own policy for gradual deployments."""
    giving = {"iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy", "iam:PutRolePermissionsBoundary"}
    for one in allowed("Deploy"):
        actions = one.get("Action", [])
        if one["Effect"] == "Allow" and giving & {*(actions if isinstance(actions, list) else [actions])}:
            within = one.get("Condition") == {
                "StringEquals": {"iam:PermissionsBoundary": {"Ref": "Boundary"}}
            }
            assert within or "CodeDeployServiceRole" in str(one["Resource"])
    assert not [one for one in allowed("Deploy") if one["Effect"] == "Allow" and "iam:*" in str(one)]
    refused = [one for one in allowed("Deploy") if one["Effect"] == "Deny"]
    assert {one["Sid"] for one in refused} == {"NotItself", "NoRoleLosesItsBoundary", "NotTheStackOfThisRole"}


def test_every_role_of_the_stack_has_the_boundary() -> None:
    """Functions by Globals; the others say so."""
    bound = {"Fn::If": ["HasBoundary", {"Ref": "PermissionsBoundary"}, {"Ref": "AWS::NoValue"}]}
    assert template()["Globals"]["Function"]["PermissionsBoundary"] == bound
    for role in resources("AWS::IAM::Role").values():
        assert role["PermissionsBoundary"] == bound


@pytest.mark.parametrize("name", functions())
def test_what_functions_may_do_is_within_the_boundary(name: str) -> None:
    """Otherwise it would be missing in what CI deploys, and nowhere else."""
    within = {
        action
        for one in allowed("Boundary")
        for action in ([one["Action"]] if isinstance(one["Action"], str) else one["Action"])
    }
    for one in statements(functions()[name]):
        assert {*([one["Action"]] if isinstance(one["Action"], str) else one["Action"])} <= within


@pytest.mark.parametrize("right", RIGHTS)
def test_the_role_may_do_what_a_deployment_needs(right: str) -> None:
    """All that is asked for before one begins."""
    given = [
        action
        for one in allowed("Deploy")
        if one["Effect"] == "Allow"
        for action in ([one["Action"]] if isinstance(one["Action"], str) else one["Action"])
    ]
    assert any(fnmatch(right, action) for action in given)


def test_the_role_of_a_stage_fits_its_stack() -> None:
    """Stacks are called as the role's names say."""
    config = (ROOT / "samconfig.toml").read_text("utf-8")
    assert {f'stack_name = "fairslot-{stage}"' in config for stage in stages()} == {True}
