"""What can be known before anything is made: each check says what to change, or nothing."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tools.deploy.plan import KEPT_BACK, Plan, connections, reserved, template

# Gives a client of a service, in a region or in the plan's.
type Clients = Callable[..., Any]

# By their names in AWS's public list of what is where; CloudFront is everywhere.
SERVICES = {
    "apigateway": "API Gateway",
    "ec2": "EC2",
    "elasticache": "ElastiCache",
    "events": "EventBridge",
    "kms": "KMS",
    "lambda": "Lambda",
    "rds": "RDS",
    "secretsmanager": "Secrets Manager",
    "sns": "SNS",
    "sqs": "SQS",
}
# One for each kind of thing that the template has.
RIGHTS = (
    "apigateway:POST",
    "cloudformation:CreateChangeSet",
    "cloudfront:CreateDistribution",
    "cloudwatch:PutMetricAlarm",
    "codedeploy:CreateDeploymentGroup",
    "ec2:CreateSecurityGroup",
    "ec2:CreateVpc",
    "ec2:CreateVpcEndpoint",
    "elasticache:CreateServerlessCache",
    "elasticache:CreateUser",
    "events:PutRule",
    "iam:CreatePolicy",
    "iam:CreateRole",
    "iam:PassRole",
    "kms:CreateKey",
    "lambda:CreateFunction",
    "lambda:InvokeFunction",
    "lambda:PublishLayerVersion",
    "lambda:PutFunctionConcurrency",
    "logs:CreateLogDelivery",
    "logs:CreateLogGroup",
    "rds:CreateDBInstance",
    "s3:CreateBucket",
    "s3:PutObject",
    "secretsmanager:CreateSecret",
    "secretsmanager:GetSecretValue",
    "sns:CreateTopic",
    "sqs:CreateQueue",
)
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
# What Lambda keeps for functions that reserve nothing.
_UNRESERVED = 100


def refusals(plan: Plan, clients: Clients) -> Iterator[str]:
    """Yield everything that stands against a deployment, without making anything."""
    yield from _about_the_plan(plan)
    try:
        caller = clients("sts").get_caller_identity()["Arn"]
    except (BotoCoreError, ClientError) as error:
        yield (
            f"AWS knows no credentials here ({type(error).__name__}): run `aws configure sso` or `aws login`,"
            " or set AWS_PROFILE."
        )
        return
    for check in (in_region, _database_class, _account, _rights):
        try:
            yield from check(plan, clients, caller)
        except ClientError as error:
            yield (
                f"{error.operation_name} was refused ({error.response['Error']['Code']}), so nobody knows"
                f" whether a deployment would go through: give {caller} this right, too."
            )


def _about_the_plan(plan: Plan) -> Iterator[str]:
    email = plan.parameter("AlarmEmail")
    if plan.parameter("Stage") == "prod" and not email:
        yield "prod needs somebody who gets the alarms: make deploy ENV=prod EMAIL=you@example.com"
    if email and not _ADDRESS.fullmatch(email):
        yield f"{email} is no e-mail address: give one as EMAIL=you@example.com"
    if plan.parameter("Waf") == "true" and plan.region != "us-east-1":
        yield "Waf=true works in us-east-1 only: deploy there, or make a web ACL and give WebAclArn."
    opened, taken = connections(plan)
    if opened > taken:
        known = template()["Mappings"]["DatabaseClasses"]
        enough = [name for name, one in known.items() if one["MaxConnections"] >= opened]
        larger = f"take DatabaseClass={enough[0]}" if enough else "there is no class that large"
        yield (
            f"{plan.parameter('DatabaseClass')} takes {taken} connections, and functions may open {opened}:"
            f" {larger}, or lower AvailabilityConcurrency, BookingConcurrency, AdminConcurrency or"
            " QueueConcurrency."
        )


def in_region(plan: Plan, clients: Clients, _caller: str) -> Iterator[str]:
    """Look every service up in AWS's own list, which lies in us-east-1 for all regions."""
    place = "/aws/service/global-infrastructure/services/{}/regions/" + plan.region
    names = [place.format(service) for service in SERVICES]
    missing = clients("ssm", "us-east-1").get_parameters(Names=names)["InvalidParameters"]
    lacking = [SERVICES[one.split("/")[5]] for one in missing]
    if lacking:
        yield f"{plan.region} has no {', '.join(sorted(lacking))}: choose another as REGION=…"


def _database_class(plan: Plan, clients: Clients, _caller: str) -> Iterator[str]:
    wanted = plan.parameter("DatabaseClass")
    offered = clients("rds").describe_orderable_db_instance_options(
        Engine="postgres", DBInstanceClass=wanted, Vpc=True
    )["OrderableDBInstanceOptions"]
    if not [one for one in offered if one["EngineVersion"].split(".")[0] == "18"]:
        yield (
            f"{plan.region} has no Postgres 18 on {wanted}: choose another REGION, or another DatabaseClass"
            " in samconfig.toml."
        )


def _account(plan: Plan, clients: Clients, _caller: str) -> Iterator[str]:
    wanted = sum(reserved(plan).values())
    limit = clients("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    taken = connections(plan)[1]
    if not wanted and 2 * limit + KEPT_BACK > taken:
        yield (
            f"With ReserveConcurrency=false {limit} functions may run at a time, which open more than the"
            f" {taken} connections that {plan.parameter('DatabaseClass')} takes: set ReserveConcurrency=true."
        )
    if wanted and wanted + _UNRESERVED > limit:
        yield (
            f"The account may run {limit} functions at a time in {plan.region}; {wanted} are to be reserved"
            f" besides the {_UNRESERVED} that Lambda keeps: ask for {wanted + _UNRESERVED} in Service Quotas"
            " (L-B99A9384), or set ReserveConcurrency=false in samconfig.toml."
        )


def _rights(_plan: Plan, clients: Clients, caller: str) -> Iterator[str]:
    """Ask IAM what it would say. The root user may do everything, and cannot be asked about."""
    if caller.endswith(":root"):
        return
    iam = clients("iam")
    answers = iam.simulate_principal_policy(PolicySourceArn=_principal(iam, caller), ActionNames=[*RIGHTS])
    missing = sorted(
        one["EvalActionName"] for one in answers["EvaluationResults"] if one["EvalDecision"] != "allowed"
    )
    if missing:
        yield f"{caller} may not {', '.join(missing)}: give it these rights, or take other credentials."


def _principal(iam: Any, caller: str) -> str:
    """Return the ARN that policies hang on: of a session, its role's, which has a path."""
    if ":assumed-role/" not in caller:
        return caller
    role: str = iam.get_role(RoleName=caller.split("/")[1])["Role"]["Arn"]
    return role
