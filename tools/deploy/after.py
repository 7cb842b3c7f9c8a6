"""What a deployment leaves to be done: old versions, the contract, the first key."""

import json
from typing import Any

from tools.deploy.checks import Clients
from tools.deploy.plan import ROOT, Plan

# The current one, and the one to go back to.
KEPT_VERSIONS = 2


def outputs(plan: Plan, clients: Clients) -> dict[str, str]:
    """Return the stack's outputs."""
    [stack] = clients("cloudformation").describe_stacks(StackName=plan.stack)["Stacks"]
    return {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])}


def upload_contract(clients: Clients, bucket: str) -> None:
    """Put the API's contract where CloudFront finds it: no function has to answer for it."""
    clients("s3").put_object(
        Bucket=bucket,
        Key="openapi.json",
        Body=(ROOT / "layers/common/fairslot/openapi.json").read_bytes(),
        ContentType="application/json",
        CacheControl="max-age=300",
    )


def delete_old_versions(plan: Plan, clients: Clients) -> list[str]:
    """Delete every function's versions but the last two and those that an alias names; return what went.

    A snapshot is kept, and billed, as long as its version.
    """
    client, deleted = clients("lambda"), []
    for function in _functions(plan, clients):
        versions = sorted(
            int(one["Version"])
            for page in client.get_paginator("list_versions_by_function").paginate(FunctionName=function)
            for one in page["Versions"]
            if one["Version"] != "$LATEST"
        )
        in_use = _in_use(client, function)
        for version in versions[:-KEPT_VERSIONS]:
            if str(version) not in in_use:
                client.delete_function(FunctionName=function, Qualifier=str(version))
                deleted.append(f"{function}:{version}")
    return deleted


def first_key(clients: Clients, function: str) -> str | None:
    """Have the first admin key made and return it; None where there is an admin key already."""
    answer = clients("lambda").invoke(FunctionName=function)
    said: dict[str, Any] = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise RuntimeError(f"{function} failed: {said.get('errorMessage', 'see its log')}")
    return said.get("key")


def _functions(plan: Plan, clients: Clients) -> list[str]:
    pages = clients("cloudformation").get_paginator("list_stack_resources").paginate(StackName=plan.stack)
    return [
        one["PhysicalResourceId"]
        for page in pages
        for one in page["StackResourceSummaries"]
        if one["ResourceType"] == "AWS::Lambda::Function"
    ]


def _in_use(client: Any, function: str) -> set[str]:
    """Return the versions that an alias sends requests to; during a gradual deployment that is two."""
    aliases = [
        one
        for page in client.get_paginator("list_aliases").paginate(FunctionName=function)
        for one in page["Aliases"]
    ]
    routed = [
        version
        for one in aliases
        for version in one.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
    ]
    return {one["FunctionVersion"] for one in aliases} | {*routed}
