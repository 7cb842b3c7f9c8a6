"""Who reaches whom in template.yaml: the inside never the internet, unless dual-stack is asked for."""

from typing import Any

import pytest

from tests.support.cloudformation import functions, parameter, resources, stages, template

INSIDE = {name: one["VpcConfig"] for name, one in functions().items() if "VpcConfig" in one}
NAMED = {"SourceSecurityGroupId", "DestinationSecurityGroupId"}
# To nobody: without a rule EC2 would let a group out everywhere.
NOWHERE = "127.0.0.1/32"


def condition(name: str) -> str | None:
    """Return the condition under which a resource is made."""
    found: str | None = template()["Resources"][name].get("Condition")
    return found


def rules() -> list[tuple[str, dict[str, Any]]]:
    """Return every rule of every group with the resource that has it."""
    found = [
        (name, rule)
        for name, group in resources("AWS::EC2::SecurityGroup").items()
        for rule in group.get("SecurityGroupIngress", []) + group.get("SecurityGroupEgress", [])
    ]
    for kind in ("AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress"):
        found += resources(kind).items()
    return found


def test_groups_name_each_other() -> None:
    """No range of addresses is let in, and only what has no group of its own is reached by one."""
    by_range = {name for name, rule in rules() if not NAMED & rule.keys() and rule.get("CidrIp") != NOWHERE}
    assert by_range == {"MigrateGroupToStorage", "FunctionGroupOutwards"}
    assert condition("FunctionGroupOutwards") == "IsDualStack"


@pytest.mark.parametrize("name", ["DatabaseGroup", "CacheGroup", "EndpointGroup"])
def test_the_data_is_let_in_to_by_functions_only(name: str) -> None:
    """Each lets in one group at its own ports, and opens no connections itself."""
    group = resources("AWS::EC2::SecurityGroup")[name]
    [let_in] = group["SecurityGroupIngress"]
    assert let_in["SourceSecurityGroupId"] == {"Fn::GetAtt": "FunctionGroup.GroupId"}
    assert [rule["CidrIp"] for rule in group["SecurityGroupEgress"]] == [NOWHERE]


def test_only_migrations_reach_storage() -> None:
    """They have a group more; every other function has one, and both subnets."""
    groups = {
        name: [one["Fn::GetAtt"] for one in given["SecurityGroupIds"]] for name, given in INSIDE.items()
    }
    assert groups.pop("MigrateFunction") == ["FunctionGroup.GroupId", "MigrateGroup.GroupId"]
    assert all(group == ["FunctionGroup.GroupId"] for group in groups.values())
    assert all(one["SubnetIds"] == [{"Ref": "SubnetA"}, {"Ref": "SubnetB"}] for one in INSIDE.values())


def test_private_has_no_way_out() -> None:
    """The only route and the only gateway are those of dual-stack, outwards; no NAT, no internet gateway."""
    kinds = [one["Type"] for one in template()["Resources"].values()]
    assert not {"AWS::EC2::NatGateway", "AWS::EC2::InternetGateway"} & {*kinds}
    routes, gateways = resources("AWS::EC2::Route"), resources("AWS::EC2::EgressOnlyInternetGateway")
    assert {condition(name) for name in (*routes, *gateways)} == {"IsDualStack"}
    assert all(route.keys() >= {"EgressOnlyInternetGatewayId"} for route in routes.values())


def test_private_reaches_the_services_by_endpoints() -> None:
    """SQS, KMS and Lambda under their own names in both zones; S3 for CloudFormation's answers alone."""
    endpoints = resources("AWS::EC2::VPCEndpoint")
    by_kind = {name: one["VpcEndpointType"] for name, one in endpoints.items()}
    names = ("SqsEndpoint", "KmsEndpoint", "LambdaEndpoint")
    assert by_kind == {"S3Endpoint": "Gateway", **dict.fromkeys(names, "Interface")}
    for name in names:
        assert condition(name) == "IsPrivate"
        assert endpoints[name]["PrivateDnsEnabled"] is True
        assert len(endpoints[name]["SubnetIds"]) == 2
    assert condition("S3Endpoint") is None
    [allowed] = endpoints["S3Endpoint"]["PolicyDocument"]["Statement"]
    assert allowed["Action"] == "s3:PutObject"
    assert "cloudformation-custom-resource-response-" in allowed["Resource"]["Fn::Sub"]


def test_dual_stack_uses_the_services_dual_stack_addresses() -> None:
    """The plain ones have no IPv6, and by IPv4 there is no way out."""
    shared = template()["Globals"]["Function"]["Environment"]["Variables"]
    assert shared["AWS_USE_DUALSTACK_ENDPOINT"] == {"Fn::If": ["IsDualStack", "true", "false"]}
    assert {str(one["Ipv6AllowedForDualStack"]) for one in INSIDE.values()} == {
        str({"Fn::If": ["IsDualStack", True, False]})
    }


def test_zones_are_two() -> None:
    """What has to outlast a zone is in both."""
    zones = [one["AvailabilityZone"]["Fn::Select"][0] for one in resources("AWS::EC2::Subnet").values()]
    assert sorted(zones) == [0, 1]


def test_migrations_wait_for_their_way() -> None:
    """They run in the middle of a first deployment, when what they need has to be there."""
    waits = {*template()["Resources"]["Migrations"]["DependsOn"]}
    assert waits >= {"MigrateGroupToStorage", "FunctionGroupToDatabase", "S3Endpoint", "MigrateInvocations"}
    assert waits >= {"SubnetARoutes", "SubnetBRoutes"}


def test_prod_is_private_and_a_default_too() -> None:
    """Dual-stack gives up that the inside reaches no internet, so it has to be asked for."""
    assert parameter("Network", stages()["prod"]) == parameter("Network") == "private"
    assert parameter("Network", stages()["dev"]) == "dual-stack"
