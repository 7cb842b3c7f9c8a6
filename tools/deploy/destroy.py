"""Takes a deployment down."""

from tools.deploy.checks import Clients
from tools.deploy.plan import Plan, RefusedError

LEFT = (
    "the last snapshot of the database",
    "the key of the webhook endpoints' secrets",
    "the bucket of sam, which other stacks may use",
)


def destroy(plan: Plan, clients: Clients, *, said: str) -> None:
    """Delete the stack and wait until it is gone.

    Raises:
        RefusedError: `said` is not the stack's name, or the database is protected.

    """
    if said != plan.stack:
        raise RefusedError(f"Nothing is deleted: that is not {plan.stack}.")
    cloudformation = clients("cloudformation")
    [stack] = cloudformation.describe_stacks(StackName=plan.stack)["Stacks"]
    parameters = {one["ParameterKey"]: one["ParameterValue"] for one in stack.get("Parameters", [])}
    if parameters.get("DatabaseProtection") == "true":
        raise RefusedError(
            f"The database of {plan.stack} is protected: set DatabaseProtection=false in samconfig.toml,"
            " deploy, and then destroy."
        )
    for one in stack.get("Outputs", []):
        if one["OutputKey"] == "PagesBucketName":
            _empty(clients, one["OutputValue"])
    cloudformation.delete_stack(StackName=plan.stack)
    # Lambda takes up to half an hour to give back a function's place in the network.
    cloudformation.get_waiter("stack_delete_complete").wait(
        StackName=plan.stack, WaiterConfig={"Delay": 5, "MaxAttempts": 720}
    )


def _empty(clients: Clients, bucket: str) -> None:
    """Delete every object: CloudFormation deletes only a bucket that is empty."""
    s3 = clients("s3")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        objects = [{"Key": one["Key"]} for one in page.get("Contents", [])]
        if objects:
            s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})
