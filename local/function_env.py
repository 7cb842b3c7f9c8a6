"""What each function finds in its environment on this machine."""

from collections.abc import Mapping
from pathlib import Path

from fairslot.platform.settings import Settings
from local.processes import library_path
from local.template import Function, Template

ROOT = Path(__file__).parents[1]
PYTHONPATH = ":".join(str(ROOT / folder) for folder in ("functions", "layers/common", "."))

# Shorter than on AWS, so that a person sees a retry happen.
LOCAL_SETTINGS = {
    "WEBHOOK_SCHEDULE_SECONDS": "1,2,4,8,16,30",
    "WEBHOOK_JITTER": "1",
    "WEBHOOK_PAUSE_SECONDS": "2",
    "WEBHOOK_LONGEST_PAUSE_SECONDS": "30",
    # Time for every attempt (four minutes), and for waiting behind other deliveries that are delayed (up to a
    # quarter of an hour each time).
    "WEBHOOK_GIVE_UP_SECONDS": "3600",
    "WEBHOOK_TIMEOUT_SECONDS": "5",
    "WEBHOOK_ALLOW_LOOPBACK_HTTP": "true",
    # The demo's keys are easy to type.
    "ANY_KEY_FORM": "true",
    # Everybody comes from this machine.
    "MAX_REQUESTS_PER_ADDRESS": "100000000",
    "ADDRESS_SECRET": "not a secret on one machine",
    "CONNECT_SECRETS": "not a secret on one machine but long enough",
    # Nothing here is let in by IAM, and nothing comes through CloudFront.
    "DATABASE_AUTH": "password",
    "REDIS_IAM": "",
    "ORIGIN_SECRETS": "",
    # The stack gives its own address.
    "PUSH_URL": "",
    "PUSH_SECRETS": "not a secret on one machine either",
    "ONLY_THROUGH_CLOUDFRONT": "false",
    # Longer than a message waits behind a backlog; `lost_messages` resends sooner what the queues lose.
    "REDELIVER_AFTER_SECONDS": "600",
}


# Where stand-ins of providers are. The template has none of them, as nothing that is deployed has stand-ins.
STANDIN_URLS = frozenset(
    f"{provider}_{what}_URL" for provider in ("GOOGLE", "MICROSOFT") for what in ("API", "ACCOUNTS")
)


def variables(
    function: Function,
    template: Template,
    *,
    addresses: Mapping[str, str],
    caller: Mapping[str, str],
    services: Mapping[str, str],
    functions: Mapping[str, str],
    data: Path,
) -> dict[str, str]:
    """Return a function's whole environment; it inherits nothing that Lambda would not give it.

    The `caller`'s variables that name a setting or a variable of this function win over the local settings,
    and those win over the template. An address, of `addresses` or of the caller, goes only to the functions
    that the template gives it to: what cannot reach the database on AWS cannot reach it here. `services` is
    how botocore finds queues and keys; `functions`, how it finds Lambda, is for those that are given another
    function's name.
    """
    settings = {name.upper() for name in Settings.model_fields}
    chosen = {
        name: value
        for name, value in caller.items()
        if value
        and (
            name in function.environment
            or (name in settings and (name in STANDIN_URLS or not name.endswith("_URL")))
        )
    }
    given = {**LOCAL_SETTINGS, **chosen, **addresses}
    own = template.environment(function, given)
    extra = {
        name: value
        for name, value in given.items()
        if name not in own and (name in STANDIN_URLS or not name.endswith("_URL"))
    }
    found = functions if any(name.endswith("_FUNCTION") for name in function.environment) else {}
    return {**_runtime(function, data), **services, **found, **own, **extra}


def _runtime(function: Function, data: Path) -> dict[str, str]:
    """Return the variables that Lambda sets.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    """
    return {
        **library_path(),
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
