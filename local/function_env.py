"""What each function finds in its environment on this machine."""

from collections.abc import Mapping
from pathlib import Path

from fairslot.platform.settings import Settings
from local.processes import loader
from local.template import Function, Template

ROOT = Path(__file__).parents[1]
PYTHONPATH = ":".join(str(ROOT / folder) for folder in ("functions", "layers/common", "."))

# Shorter than what is deployed, so that a person sees a retry happen.
LOCAL_SETTINGS = {
    "WEBHOOK_SCHEDULE_SECONDS": "1,2,4,8,16,30",
    "WEBHOOK_JITTER": "1",
    "WEBHOOK_PAUSE_SECONDS": "2",
    "WEBHOOK_LONGEST_PAUSE_SECONDS": "30",
    # Time for every attempt, which is four minutes, and for waiting in a row of what is held back, which is
    # up to a quarter of an hour each time.
    "WEBHOOK_GIVE_UP_SECONDS": "3600",
    "WEBHOOK_TIMEOUT_SECONDS": "5",
    "WEBHOOK_ALLOW_LOOPBACK_HTTP": "true",
    # Longer than a message waits behind a backlog; what the queues lose is sent again sooner: `lost`.
    "REDELIVER_AFTER_SECONDS": "600",
}


def of_function(
    function: Function,
    template: Template,
    *,
    addresses: Mapping[str, str],
    caller: Mapping[str, str],
    sqs: Mapping[str, str],
    data: Path,
) -> dict[str, str]:
    """Return all of a function's variables; nothing of ours reaches it that Lambda would not give it.

    The `caller`'s variables that name a setting or a variable of this function win over the
    local settings, those over the template. An address of `addresses`, or of the caller,
    goes only to the functions that the template gives it to: what cannot reach the
    database there cannot reach it here. `sqs` is how boto3 finds the queues.
    """
    settings = {name.upper() for name in Settings.model_fields}
    chosen = {
        name: value
        for name, value in caller.items()
        if value and (name in function.environment or (name in settings and not name.endswith("_URL")))
    }
    given = {**LOCAL_SETTINGS, **chosen, **addresses}
    own = template.environment(function, given)
    extra = {name: value for name, value in given.items() if name not in own and not name.endswith("_URL")}
    return {**_runtime(function, data), **sqs, **own, **extra}


def _runtime(function: Function, data: Path) -> dict[str, str]:
    """Return the variables that Lambda sets.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    """
    return {
        **loader(),
        "_HANDLER": function.handler,
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "local",
        "LAMBDA_TASK_ROOT": str(ROOT / "functions"),
        **function.logging,
        "PYTHONPATH": PYTHONPATH,
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(data),  # no ~/.aws of the person who runs this
        "LANG": "C.UTF-8",
        "TZ": ":UTC",
    }
