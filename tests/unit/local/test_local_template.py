"""What the local stack reads from a template."""

import json
from pathlib import Path
from textwrap import dedent

import pytest

from local import function_env
from local.cloudformation import TemplateError
from local.schedules import interval
from local.template import QueueSource, Schedule, Template

ENDPOINT = "http://127.0.0.1:4566"
LAMBDA = "http://127.0.0.1:4567"
DATABASE = "postgresql://here"
TEMPLATE = """
    Parameters:
      MaxAttempts: {Type: Number, Default: 12}
      Stage: {Type: String, Default: dev}
      PartnerUrl: {Type: String, Default: ""}
    Conditions:
      Never: !Equals [!Ref Stage, prod]
      Always: !Not [!Condition Never]
    Globals:
      Function:
        Timeout: 30
        Environment:
          Variables: {SHARED: everywhere, HORIZON_DAYS: "60"}
    Resources:
      Inside:
        Type: AWS::Serverless::Function
        Properties:
          Handler: inside.app.handler
          Timeout: 10
          MemorySize: 256
          LoggingConfig: {LogFormat: JSON, ApplicationLogLevel: INFO}
          Environment:
            Variables:
              DATABASE_URL: !Sub "{{resolve:secretsmanager:${Secret}:SecretString:url}}"
              WORK_QUEUE_URL: !Ref WorkQueue
              NAME: !Sub "${AWS::StackName}-b"
              CHOICE: !If [Always, here, there]
          Events:
            Get: {Type: HttpApi, Properties: {Method: get, Path: "/things/{id}"}}
            Tick: {Type: Schedule, Properties: {Schedule: rate(5 minutes)}}
            Night: {Type: Schedule, Properties: {Schedule: rate(2 hours), Input: '{"task": "tidy"}'}}
      Outside:
        Type: AWS::Serverless::Function
        Properties:
          Handler: outside.app.handler
          ReservedConcurrentExecutions: 3
          Environment: {Variables: {PARTNER_URL: !Ref PartnerUrl, OTHER_FUNCTION: !Ref Inside}}
          Events:
            Work:
              Type: SQS
              Properties:
                Queue: !GetAtt WorkQueue.Arn
                BatchSize: 5
                MaximumBatchingWindowInSeconds: 2
                FunctionResponseTypes: [ReportBatchItemFailures]
                ScalingConfig: {MaximumConcurrency: 20}
      Unwanted: {Type: "AWS::Serverless::Function", Condition: Never, Properties: {Handler: no.handler}}
      Secret: {Type: "AWS::SecretsManager::Secret"}
      WorkQueue:
        Type: AWS::SQS::Queue
        Properties:
          VisibilityTimeout: 60
          SqsManagedSseEnabled: true
          RedrivePolicy: {deadLetterTargetArn: !GetAtt LostQueue.Arn, maxReceiveCount: !Ref MaxAttempts}
      LostQueue: {Type: "AWS::SQS::Queue", Properties: {QueueName: !Sub "lost-${Stage}"}}
"""


def read(tmp_path: Path, text: str = TEMPLATE, **variables: str) -> Template:
    """Read a template that is given as text."""
    path = tmp_path / "template.yaml"
    path.write_text(dedent(text))
    return Template(path, variables, ENDPOINT)


def test_functions_carry_their_globals_and_events(tmp_path: Path) -> None:
    """A function's own properties win over the globals; a false condition leaves it out."""
    template = read(tmp_path)
    inside, outside = template.functions["Inside"], template.functions["Outside"]
    assert sorted(template.functions) == ["Inside", "Outside"]
    assert (inside.handler, inside.timeout, inside.memory) == ("inside.app.handler", 10, 256)
    assert inside.routes == [("GET", "/things/{id}")]
    assert inside.schedules == [
        Schedule("InsideTick", "rate(5 minutes)"),
        Schedule("InsideNight", "rate(2 hours)", {"task": "tidy"}),
    ]
    assert inside.logging == {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"}
    assert (outside.timeout, outside.reserved) == (30, 3)
    assert outside.queues == [QueueSource("WorkQueue", 5, 2, reports_failures=True, max_concurrency=20)]


def test_an_event_without_a_path_answers_the_rest(tmp_path: Path) -> None:
    """It matches every request that no other route does."""
    text = TEMPLATE.replace('{Method: get, Path: "/things/{id}"}', "{}")
    assert read(tmp_path, text).functions["Inside"].routes == [("ANY", "$default")]


def test_queues_carry_their_attributes_and_dead_letters(tmp_path: Path) -> None:
    """A parameter may come from the caller's variable of its name."""
    work = read(tmp_path, MAX_ATTEMPTS="3").queues["WorkQueue"]
    assert work.dead_letters == "lost-dev"
    assert work.attributes["VisibilityTimeout"] == "60"
    policy = json.loads(work.attributes["RedrivePolicy"])
    assert policy == {
        "deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:lost-dev",
        "maxReceiveCount": "3",
    }


def variables(template: Template, name: str, **caller: str) -> dict[str, str]:
    """Return what a function finds in its environment."""
    return function_env.variables(
        template.functions[name],
        template,
        addresses={"DATABASE_URL": DATABASE, "PARTNER_URL": "http://partner"},
        caller=caller,
        services={"AWS_ENDPOINT_URL": ENDPOINT},
        functions={"AWS_ENDPOINT_URL_LAMBDA": LAMBDA},
        data=Path("/data"),
    )


def test_a_functions_environment_is_the_templates(tmp_path: Path) -> None:
    """Expressions have values, Lambda's own variables are there, and addresses are this machine's."""
    found = variables(read(tmp_path), "Inside")
    assert found["WORK_QUEUE_URL"] == f"{ENDPOINT}/000000000000/WorkQueue"
    assert (found["NAME"], found["CHOICE"], found["SHARED"]) == ("local-b", "here", "everywhere")
    assert (found["DATABASE_URL"], found["AWS_ENDPOINT_URL"]) == (DATABASE, ENDPOINT)
    assert (found["AWS_LAMBDA_FUNCTION_NAME"], found["_HANDLER"]) == ("Inside", "inside.app.handler")


def test_an_address_goes_only_where_the_template_gives_it(tmp_path: Path) -> None:
    """What cannot reach the database when deployed has no address of it here, even if the caller has one."""
    found = variables(read(tmp_path), "Outside", DATABASE_URL="postgresql://other")
    assert "DATABASE_URL" not in found
    assert found["PARTNER_URL"] == "http://partner"


def test_stand_ins_of_providers_can_be_given(tmp_path: Path) -> None:
    """Though the template names none: on AWS they are where they always are."""
    found = variables(read(tmp_path), "Outside", GOOGLE_API_URL="http://127.0.0.1:1")
    assert found["GOOGLE_API_URL"] == "http://127.0.0.1:1"


def test_a_function_that_invokes_another_one_finds_lambda(tmp_path: Path) -> None:
    """It gets the other one's name and where to invoke it; nobody else can."""
    inside, outside = (variables(read(tmp_path), name) for name in ("Inside", "Outside"))
    assert (outside["OTHER_FUNCTION"], outside["AWS_ENDPOINT_URL_LAMBDA"]) == ("Inside", LAMBDA)
    assert "AWS_ENDPOINT_URL_LAMBDA" not in inside


def test_the_callers_settings_win_over_the_local_and_those_over_the_template(tmp_path: Path) -> None:
    """A variable of the caller that names no setting stays outside."""
    template = read(tmp_path)
    quiet = variables(template, "Outside")
    asked = variables(template, "Outside", HORIZON_DAYS="10", WEBHOOK_TIMEOUT_SECONDS="9", SECRET="x")
    assert (quiet["HORIZON_DAYS"], quiet["WEBHOOK_TIMEOUT_SECONDS"]) == ("60", "5")
    assert (asked["HORIZON_DAYS"], asked["WEBHOOK_TIMEOUT_SECONDS"]) == ("10", "9")
    assert "SECRET" not in asked


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("!GetAtt Secret.Arn", "Secret .* does not exist on this machine"),
        ("!Ref Nothing", "there is no Nothing"),
        ("!ImportValue x", "does not know Fn::ImportValue"),
        ('"{{resolve:ssm:x}}"', "a secret that is not available locally"),
    ],
)
def test_an_unsupported_expression_is_an_error(tmp_path: Path, expression: str, problem: str) -> None:
    """The message names the function and the variable."""
    text = TEMPLATE.replace("NAME: !Sub", f"ODD: {expression}\n              NAME: !Sub")
    with pytest.raises(TemplateError, match=f"Inside, variable ODD: .*{problem}"):
        variables(read(tmp_path, text), "Inside")


def test_an_unsupported_event_type_is_an_error(tmp_path: Path) -> None:
    """What would run on AWS but not here must not go unnoticed."""
    text = TEMPLATE.replace("Type: HttpApi", "Type: S3")
    with pytest.raises(TemplateError, match="events of type S3"):
        read(tmp_path, text)


def test_the_projects_template_runs_here(root: Path) -> None:
    """Every variable and every schedule of our template is supported."""
    template = Template(root / "template.yaml", {}, ENDPOINT)
    for function in template.functions.values():
        function_env.variables(
            function,
            template,
            addresses={"DATABASE_URL": DATABASE, "REDIS_URL": "redis://here"},
            caller={},
            services={},
            functions={},
            data=Path("/data"),
        )
        for schedule in function.schedules:
            interval(schedule.expression)
