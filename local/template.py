"""The functions, routes, queues and schedules of `template.yaml`, as they run locally."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.cloudformation import Resolver, TemplateError, load
from local.sqs import ACCOUNT, REGION

_PSEUDO = {
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT,
    "AWS::StackName": "local",
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/local/1",
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
}


@dataclass(frozen=True)
class Queue:
    """A queue: `attributes` as CreateQueue takes them, and the name of its dead-letter queue."""

    name: str
    attributes: dict[str, str]
    dead_letters: str | None = None

    @property
    def arn(self) -> str:
        """The queue's ARN in the stand-in."""
        return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{self.name}"


@dataclass(frozen=True)
class QueueSource:
    """An event source mapping from a queue; times in seconds."""

    queue: str
    batch_size: int
    batching_window: float
    reports_failures: bool
    max_concurrency: int | None


@dataclass(frozen=True)
class Schedule:
    """A schedule: `rate(…)` or `cron(…)`, and the event it sends, None for EventBridge's own."""

    name: str
    expression: str
    payload: Any = None


@dataclass(frozen=True)
class Function:
    """A function and what invokes it: routes are method and path; times in seconds, memory in MB.

    `environment` holds the template's expressions, to be resolved when their values are known.
    """

    name: str
    handler: str
    timeout: float
    memory: int
    environment: dict[str, Any]
    logging: dict[str, str]
    reserved: int | None = None
    routes: list[tuple[str, str]] = field(default_factory=list)
    queues: list[QueueSource] = field(default_factory=list)
    schedules: list[Schedule] = field(default_factory=list)


class Template:
    """The functions and queues of a template by logical id, and the aliases of its keys.

    A parameter takes its value from the variable of its name if there is one: WebhookMaxAttempts from
    WEBHOOK_MAX_ATTEMPTS. `sqs_endpoint` is where the queues are; a queue without a name is named by its
    logical id.
    """

    def __init__(self, path: Path, variables: Mapping[str, str], sqs_endpoint: str) -> None:
        document = load(path)
        self._endpoint = sqs_endpoint
        self._resources: dict[str, Any] = document.get("Resources", {})
        names = {
            name: re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper() for name in document.get("Parameters", {})
        }
        parameters = {
            name: variables[variable] for name, variable in names.items() if variables.get(variable)
        }
        self._resolver = Resolver(document, parameters, self._resource)
        self._defaults = document.get("Globals", {}).get("Function", {})
        self.queues = {name: self._queue(name) for name in self._of_type("AWS::SQS::Queue")}
        self.key_aliases = [self._resource(name, None) for name in self._of_type("AWS::KMS::Alias")]
        self.functions = {name: self._function(name) for name in self._of_type("AWS::Serverless::Function")}

    def queue_url(self, name: str) -> str:
        """Return the address of the queue with a logical id."""
        return f"{self._endpoint}/{ACCOUNT}/{self._queue_name(name)}"

    def environment(self, function: Function, given: Mapping[str, str]) -> dict[str, str]:
        """Return a function's variables; `given` wins over the template's values.

        Raises:
            TemplateError: a variable is not given, and its expression has no value on one machine.

        """
        variables: dict[str, str] = {}
        for name, expression in function.environment.items():
            try:
                value = given[name] if name in given else str(self._resolver.value(expression))
            except TemplateError as error:
                raise TemplateError(f"{function.name}, variable {name}: {error}") from error
            if "{{resolve:" in value:
                raise TemplateError(
                    f"{function.name}, variable {name}: a secret that is not available locally"
                )
            variables[name] = value
        return variables

    def _of_type(self, kind: str) -> list[str]:
        return [
            name
            for name, resource in self._resources.items()
            if resource.get("Type") == kind
            and ("Condition" not in resource or self._resolver.holds(resource["Condition"]))
        ]

    def _resource(self, name: str, attribute: str | None) -> str:
        """Return the value of a Ref or a GetAtt of a resource on this machine."""
        if name in _PSEUDO:
            return _PSEUDO[name]
        kind = self._resources.get(name, {}).get("Type")
        if kind == "AWS::SQS::Queue":
            if attribute is None or attribute == "QueueUrl":
                return self.queue_url(name)
            queue_name = self._queue_name(name)
            return queue_name if attribute == "QueueName" else f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue_name}"
        if kind == "AWS::KMS::Alias" and attribute is None:
            return str(self._resolver.value(self._resources[name]["Properties"]["AliasName"]))
        if kind == "AWS::Serverless::Function":
            return name if attribute is None else f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
        raise TemplateError(f"{name} ({kind or 'unknown'}) does not exist on this machine")

    def _queue_name(self, name: str) -> str:
        given = self._resources[name].get("Properties", {}).get("QueueName")
        return str(self._resolver.value(given)) if given else name

    def _queue(self, name: str) -> Queue:
        properties = self._resolver.value(self._resources[name].get("Properties", {}))
        redrive = properties.pop("RedrivePolicy", None)
        ignored = {"QueueName", "Tags", "SqsManagedSseEnabled", "KmsMasterKeyId", "RedriveAllowPolicy"}
        attributes = {
            key: str(value).lower() if isinstance(value, bool) else str(value)
            for key, value in properties.items()
            if key not in ignored
        }
        dead_letters = None
        if redrive is not None:
            redrive = json.loads(redrive) if isinstance(redrive, str) else redrive
            attributes["RedrivePolicy"] = json.dumps(redrive)
            dead_letters = str(redrive["deadLetterTargetArn"]).rsplit(":", 1)[-1]
        return Queue(self._queue_name(name), attributes, dead_letters)

    def _function(self, name: str) -> Function:
        properties = {**self._defaults, **self._resources[name].get("Properties", {})}
        own = self._resources[name].get("Properties", {}).get("Environment", {}).get("Variables", {})
        shared = self._defaults.get("Environment", {}).get("Variables", {})
        reserved = self._resolver.value(properties.get("ReservedConcurrentExecutions"))
        function = Function(
            name=name,
            handler=str(self._resolver.value(properties["Handler"])),
            timeout=float(self._resolver.value(properties.get("Timeout", 3))),
            memory=int(self._resolver.value(properties.get("MemorySize", 128))),
            environment={**shared, **own},
            logging=self._logging(properties.get("LoggingConfig", {})),
            reserved=None if reserved is None else int(reserved),
        )
        for event_name, event in properties.get("Events", {}).items():
            self._add_event(function, event_name, event["Type"], event.get("Properties", {}))
        return function

    def _logging(self, config: Mapping[str, Any]) -> dict[str, str]:
        """Return the variables by which Lambda configures the runtime's logging."""
        level = config.get("ApplicationLogLevel")
        return {
            "AWS_LAMBDA_LOG_FORMAT": str(config.get("LogFormat", "Text")),
            **({"AWS_LAMBDA_LOG_LEVEL": str(self._resolver.value(level))} if level else {}),
        }

    def _add_event(self, function: Function, name: str, kind: str, properties: Mapping[str, Any]) -> None:
        value = self._resolver.value
        if kind == "HttpApi":
            # Without a path it is the default route.
            path = properties.get("Path", "$default")
            function.routes.append((str(properties.get("Method", "ANY")).upper(), path))
        elif kind == "SQS":
            most = value(properties.get("ScalingConfig", {})).get("MaximumConcurrency")
            source = QueueSource(
                queue=self._queue_of_arn(value(properties["Queue"])),
                batch_size=int(value(properties.get("BatchSize", 10))),
                batching_window=float(value(properties.get("MaximumBatchingWindowInSeconds", 0))),
                reports_failures="ReportBatchItemFailures" in properties.get("FunctionResponseTypes", []),
                max_concurrency=None if most is None else int(most),
            )
            if value(properties.get("Enabled", True)):
                function.queues.append(source)
        elif kind in {"Schedule", "ScheduleV2"}:
            expression = properties.get("Schedule") or properties["ScheduleExpression"]
            payload = value(properties.get("Input"))
            found = None if payload is None else json.loads(payload)
            function.schedules.append(Schedule(f"{function.name}{name}", str(value(expression)), found))
        else:
            raise TemplateError(f"{function.name}: the local stack has no events of type {kind}")

    def _queue_of_arn(self, arn: str) -> str:
        return next(name for name, queue in self.queues.items() if queue.arn == arn)
