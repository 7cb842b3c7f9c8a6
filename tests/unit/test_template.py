"""What template.yaml says fits together, and fits the code."""

import importlib
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver

import admin.app
import availability.app
import booking.app
import calendar_connect.app
import calendar_push.app
from fairslot.http.routing import declared
from fairslot.platform.queue import LONGEST_CALL_SECONDS
from fairslot.platform.settings import Settings
from local.routes import Routes
from local.template import Template
from tests.support.cloudformation import (
    environment,
    functions,
    queue_of,
    resources,
    sources,
    statements,
    template,
)

FUNCTIONS = functions()
QUEUES = resources("AWS::SQS::Queue")
DEAD_LETTER_QUEUES = {name for name in QUEUES if name.endswith("DeadLetterQueue")}
INSIDE = {name for name, one in FUNCTIONS.items() if "VpcConfig" in one}
PARTNERS = {"CRM_WEBHOOK_URL", "CALENDAR_API_URL", "GOOGLE_CLIENT_SECRET", "MICROSOFT_CLIENT_SECRET"}
DATA = {"DATABASE_URL", "REDIS_URL"}
# What it knows is a queue: whoever calls it gets an answer, and is not called.
CALLED_ONLY = {"PushFunction"}
APPS: dict[str, APIGatewayHttpResolver] = {
    f"{module.__name__}.lambda_handler": module.app for module in (admin.app, availability.app, booking.app)
}


def allowed(function: dict[str, Any], action: str) -> set[str]:
    """Return the queues on which the function may do `action`."""
    found: set[str] = set()
    for statement in statements(function):
        places = statement["Resource"]
        if action in statement["Action"]:
            found |= {queue_of(place) for place in (places if isinstance(places, list) else [places])}
    return found


@pytest.mark.parametrize("name", FUNCTIONS)
def test_handler_is_there(name: str) -> None:
    """Every handler can be imported from the folder that is deployed."""
    module, attribute = FUNCTIONS[name]["Handler"].rsplit(".", 1)
    assert callable(getattr(importlib.import_module(module), attribute))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_variable_is_a_setting(name: str) -> None:
    """A variable that no setting reads would be a wish that nobody hears."""
    known = {field.upper() for field in Settings.model_fields}
    assert {key for key in environment(FUNCTIONS[name]) if not key.startswith("POWERTOOLS_")} <= known


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_reaches_the_data_or_the_internet(name: str) -> None:
    """Inside the VPC are the functions with the data's addresses, outside those with the partners'.

    What the operator is known by at providers is of use, and is given, outside only.
    """
    given = set(environment(FUNCTIONS[name]))
    if name in INSIDE:
        assert "DATABASE_URL" in given
        assert not PARTNERS & given
    else:
        assert bool(PARTNERS & given) != (name in CALLED_ONLY)
        assert not DATA & given


def test_three_functions_can_ask_one_other_each() -> None:
    """Two outside: whether a customer may be named, and what a link is about; one inside: a calendar.

    Beside the queues no other way leads from one world to the other.
    """
    asked = {
        "DispatchFunction": ("CONTACT_PERMITS_FUNCTION", "PermitsFunction"),
        "ConnectFunction": ("CONNECTIONS_FUNCTION", "ConnectionsFunction"),
        "BookingFunction": ("CALENDAR_FETCH_FUNCTION", "FetchFunction"),
    }
    for name, one in FUNCTIONS.items():
        setting, other = asked.get(name, (None, None))
        assert allowed(one, "lambda:InvokeFunction") == ({other} if other else set()), name
        if setting:
            assert queue_of(environment(one)[setting]) == other


@pytest.mark.parametrize("name", sorted(INSIDE - {"MigrateFunction"}))
def test_code_changes_after_the_schema(name: str) -> None:
    """Every function that reads the schema waits for the migrations."""
    assert template()["Resources"][name]["DependsOn"] == "Migrations"


def test_migrations_run_for_every_new_code() -> None:
    """A new version of the code or the layer is a new property, and so a run of the migrations."""
    assert resources("Custom::Migrations")["Migrations"]["CodeVersion"] == {"Ref": "MigrateFunction.Version"}
    assert FUNCTIONS["MigrateFunction"]["AutoPublishAlias"]


@pytest.mark.parametrize(("name", "source"), sources("SQS"))
def test_a_message_stays_hidden_while_it_is_worked_on(name: str, source: dict[str, Any]) -> None:
    """Visibility is six times the reader's timeout at least, as AWS asks; failures are told one by one."""
    queue = QUEUES[queue_of(source["Queue"])]
    assert queue["VisibilityTimeout"] >= 6 * FUNCTIONS[name]["Timeout"]
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    most = source["ScalingConfig"]["MaximumConcurrency"]
    assert (most if isinstance(most, int) else template()["Parameters"][most["Ref"]]["MinValue"]) >= 2


@pytest.mark.parametrize("name", sorted(QUEUES.keys() - DEAD_LETTER_QUEUES))
def test_a_queue_has_a_dead_letter_queue(name: str) -> None:
    """What cannot be worked on is set aside in a queue of its own and kept longer than the queue would."""
    redrive = QUEUES[name]["RedrivePolicy"]
    aside = queue_of(redrive["deadLetterTargetArn"])
    assert aside == name.removesuffix("Queue") + "DeadLetterQueue"
    assert QUEUES[aside]["MessageRetentionPeriod"] > QUEUES[name]["MessageRetentionPeriod"]
    assert [reader for reader, source in sources("SQS") if queue_of(source["Queue"]) == name]


@pytest.mark.parametrize("name", QUEUES)
def test_a_queue_is_encrypted(name: str) -> None:
    """Messages carry names and addresses of people."""
    assert QUEUES[name]["SqsManagedSseEnabled"] is True


def test_attempts_and_receives_are_one_number() -> None:
    """A delivery is set aside by SQS after exactly the attempts that the dispatcher counts to."""
    number = {"Ref": "WebhookMaxAttempts"}
    assert QUEUES["DeliveriesQueue"]["RedrivePolicy"]["maxReceiveCount"] == number
    readers = [one for one in FUNCTIONS.values() if "WEBHOOK_MAX_ATTEMPTS" in environment(one)]
    assert FUNCTIONS["DispatchFunction"] in readers
    assert all(environment(one)["WEBHOOK_MAX_ATTEMPTS"] == number for one in readers)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("WebhookMaxAttempts", "DispatchFunction"),
        ("WebhookScheduleSeconds", "DispatchFunction"),
        ("WebhookJitter", "DispatchFunction"),
        ("WebhookTimeoutSeconds", "DispatchFunction"),
        ("WebhookGiveUpSeconds", "DispatchFunction"),
        ("EndpointWarningDays", "ResultsFunction"),
        ("EndpointDisableDays", "ResultsFunction"),
    ],
)
def test_how_deliveries_are_tried_is_decided_by_who_deploys(name: str, function: str) -> None:
    """A parameter reaches the function that reads its setting, and both have one default."""
    variable = re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper()
    assert environment(FUNCTIONS[function])[variable] == {"Ref": name}
    given = template()["Parameters"][name]["Default"]
    assert given == Settings.model_fields[variable.lower()].default


def test_an_attempt_ends_long_before_its_function() -> None:
    """The longest time limit leaves time for the calls to the queues that end an invocation."""
    longest = template()["Parameters"]["WebhookTimeoutSeconds"]["MaxValue"]
    assert longest + 3 * (LONGEST_CALL_SECONDS + 1) <= FUNCTIONS["DispatchFunction"]["Timeout"]


def test_an_attempt_that_died_comes_back_before_it_counts_as_lost() -> None:
    """A delivery is published anew only after SQS itself had the time to hand its message out again."""
    hidden = QUEUES["DeliveriesQueue"]["VisibilityTimeout"]
    assert Settings.model_fields["redeliver_after_seconds"].default > hidden


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_may_do_what_its_variables_say_and_no_more(name: str) -> None:
    """It reads the queue that calls it, sends to the queues it knows, and only the dispatcher puts off.

    Who records results takes away what is out of date. Nobody sends to a dead-letter queue but the
    dispatcher, who reads none.
    """
    function = FUNCTIONS[name]
    read = {queue_of(source["Queue"]) for reader, source in sources("SQS") if reader == name}
    known = {queue_of(value) for key, value in environment(function).items() if key.endswith("_QUEUE_URL")}
    put_off = {"DeliveriesQueue"} if name == "DispatchFunction" else set()
    if not put_off:
        read |= known & DEAD_LETTER_QUEUES
        known -= DEAD_LETTER_QUEUES
    assert allowed(function, "sqs:ReceiveMessage") == read
    out_of_date = {"DeliveriesQueue"} if name == "ResultsFunction" else set()
    assert allowed(function, "sqs:DeleteMessage") == read | out_of_date
    assert allowed(function, "sqs:SendMessage") == known
    # Who reads dead letters shows those that stay again, and counts what others hide.
    aside = read & DEAD_LETTER_QUEUES
    assert allowed(function, "sqs:ChangeMessageVisibility") == put_off | aside
    assert allowed(function, "sqs:GetQueueAttributes") >= aside


@pytest.mark.parametrize("name", sorted({name for name, _ in sources("HttpApi")}))
def test_http_functions_start_from_a_snapshot(name: str) -> None:
    """What a client waits for starts from a snapshot behind an alias and ends before the gateway gives up."""
    function = FUNCTIONS[name]
    assert function["SnapStart"] == {"ApplyOn": "PublishedVersions"}
    assert function["AutoPublishAlias"] == "live"
    assert function["AutoPublishAliasAllProperties"] is True
    assert function["Timeout"] < 30


def test_no_route_is_given_twice() -> None:
    """Each method and path has one function."""
    routes = [(source.get("Method"), source.get("Path")) for _, source in sources("HttpApi")]
    assert len(routes) == len(set(routes))


def test_every_declared_route_is_deployed_with_its_function() -> None:
    """The template sends each declared method and path to the function that declares it, and no others."""
    deployed: dict[tuple[str, str], str] = {}
    for name, source in sources("HttpApi"):
        if "Path" in source:
            deployed[source["Method"].upper(), source["Path"]] = FUNCTIONS[name]["Handler"]
    used = set()
    for handler, app in APPS.items():
        for _, contract in declared(app):
            path = re.sub("<([a-z_]+)>", r"{\1}", contract.path)
            route = (contract.method, path) if (contract.method, path) in deployed else ("ANY", path)
            assert deployed[route] == handler, route
            used.add(route)
    for route in calendar_push.app.ROUTES:
        assert deployed[route] == "calendar_push.app.lambda_handler"
        used.add(route)
    pages = set(calendar_connect.app.ROUTES)
    assert {deployed[route] for route in pages} == {"calendar_connect.app.lambda_handler"}
    used |= pages
    assert used == deployed.keys() - {("ANY", "$default")}


def test_every_method_of_a_path_comes_to_the_function_that_declares_it(root: Path) -> None:
    """HEAD, and a method that the path does not have, are answered by the function with the path's routes."""
    deployed = {
        one.name: one for one in Template(root / "template.yaml", {}, "http://127.0.0.1").functions.values()
    }
    routes = Routes((*route, one.name) for one in deployed.values() for route in one.routes)
    for handler, app in APPS.items():
        for _, contract in declared(app):
            path = re.sub("<[a-z_]+>", str(UUID(int=1)), contract.path)
            for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
                found = routes.find(method, path)
                assert found is not None
                assert deployed[found.function].handler == handler, path


def test_logs_do_not_stay_for_ever() -> None:
    """Every log group has a retention, and every function writes to one of them."""
    groups = resources("AWS::Logs::LogGroup")
    assert all("RetentionInDays" in group for group in groups.values())
    assert {queue_of(one["LoggingConfig"]["LogGroup"]) for one in FUNCTIONS.values()} <= groups.keys()


def test_every_package_of_functions_is_built() -> None:
    """A function whose package is left out starts nowhere but here."""
    text = (Path(__file__).parents[2] / "functions/Makefile").read_text("utf-8")
    built = re.search(r"^PACKAGES := (.*)$", text, re.MULTILINE)
    assert built is not None
    assert {one["Handler"].partition(".")[0] for one in FUNCTIONS.values()} == set(built[1].split())
