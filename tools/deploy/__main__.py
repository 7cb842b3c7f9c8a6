"""`make deploy ENV=dev REGION=… EMAIL=…` and `make destroy ENV=dev`.

`check` says what stands against a deployment and makes nothing; `up` deploys what was built; `down` deletes
it.
"""

import argparse
import os
import subprocess
import sys
from functools import partial
from typing import Any

import boto3

from tools.deploy import after, checks, destroy
from tools.deploy.checks import Clients
from tools.deploy.plan import ROOT, Plan, RefusedError, read


def main() -> int:
    """Do what is asked for; 1 where it is refused."""
    options = _options()
    try:
        plan = read(options.stage, region=options.region, email=options.email, boundary=options.boundary)
        clients = partial(_client, plan)
        {"check": _check, "up": _up, "down": _down}[options.command](plan, clients)
    except RefusedError as refused:
        print(refused, file=sys.stderr)
        return 1
    return 0


def _check(plan: Plan, clients: Clients) -> None:
    found = [*checks.refusals(plan, clients)]
    if found:
        raise RefusedError("\n".join(["Nothing was made.", *(f"- {one}" for one in found)]))
    print(f"{plan.stack} can be deployed to {plan.region}")


def _up(plan: Plan, clients: Clients) -> None:
    """Deploy, and do what is left to do afterwards."""
    done = subprocess.run(sam(plan), cwd=ROOT, env=_environment(), check=False)  # noqa: S603  our own words
    if done.returncode:
        raise RefusedError(f"{plan.stack} was not deployed; its events above say why.")
    given = after.outputs(plan, clients)
    if "PagesBucketName" in given:
        after.upload_contract(clients, given["PagesBucketName"])
    for one in after.delete_old_versions(plan, clients):
        print(f"deleted the old version {one}")
    # What CI prints is kept, and read by many: there the key is not made.
    key = None if in_ci() else after.first_key(clients, given["FirstKeyFunctionName"])
    if key is not None:
        print(f"\nThe first admin key, which is not shown again: {key}")
    print(next_steps(given["Address"], has_key=key is None))


def _down(plan: Plan, clients: Clients) -> None:
    said = os.environ.get("YES") or input(f"Deletes {plan.stack} in {plan.region}. Type its name to go on: ")
    destroy.destroy(plan, clients, said=said)
    print(f"{plan.stack} is deleted. Left are {', '.join(destroy.LEFT)}.")


def sam(plan: Plan) -> list[str]:
    """Return the command that deploys what was built."""
    overrides = [f"{name}={value}" for name, value in plan.parameters.items()]
    return [
        ".tools/sam/bin/sam",
        "deploy",
        *("--config-env", plan.stage, "--region", plan.region),
        *("--template-file", ".aws-sam/build/template.yaml"),
        *("--parameter-overrides", *overrides),
        # Nobody is there to be asked; the environment of the workflow was approved.
        *(["--no-confirm-changeset"] if in_ci() else []),
    ]


def in_ci() -> bool:
    """Tell whether this runs in CI, as those tell that run it."""
    return os.environ.get("CI") == "true"


def next_steps(address: str, *, has_key: bool) -> str:
    """Return the address, and the three commands that come next."""
    key = "one of your admin keys" if has_key else "the key above"
    return f"""
{address}

  curl {address}/health
  export FAIRSLOT_URL={address} FAIRSLOT_KEY=…   # {key}
  .venv/bin/fairslot apply team.yaml --dry-run   # docs/team.md has a team.yaml to begin with"""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools.deploy", description=__doc__)
    parser.add_argument("command", choices=["check", "up", "down"])
    parser.add_argument("stage", help="a stage of samconfig.toml: dev or prod")
    parser.add_argument("--region", help="where to; without it what samconfig.toml says")
    parser.add_argument("--email", help="who gets the alarms; without it what samconfig.toml says")
    parser.add_argument("--boundary", help="the policy that bounds every role: docs/ci.md")
    return parser.parse_args()


def _client(plan: Plan, service: str, region: str | None = None) -> Any:
    return boto3.client(service, region_name=region or plan.region)  # type: ignore[call-overload]  # any service


def _environment() -> dict[str, str]:
    """Return sam's environment: it asks for no newer release and tells nobody."""
    left_out = {"PYTHONPATH", "MAKEFLAGS", "MFLAGS"}
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    return {**kept, "SAM_CLI_TELEMETRY": "0", "__SAM_CLI_APP_DIR": str(ROOT / ".aws-sam/state")}


if __name__ == "__main__":
    sys.exit(main())
