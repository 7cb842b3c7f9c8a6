"""What there is in an account, service by service: what a stack makes, and has to take away."""

from collections.abc import Mapping

from tests.support.account import AwsAccount

# How each kind is listed: service, call, its arguments, the list in its answer, and what names one in it.
_CALLS: tuple[tuple[str, str, Mapping[str, object], str, str], ...] = (
    ("apigatewayv2", "get_apis", {}, "Items", "ApiId"),
    ("cloudformation", "list_exports", {}, "Exports", "Name"),
    ("cloudwatch", "describe_alarms", {}, "MetricAlarms", "AlarmName"),
    ("cloudwatch", "list_dashboards", {}, "DashboardEntries", "DashboardName"),
    ("ec2", "describe_network_interfaces", {}, "NetworkInterfaces", "NetworkInterfaceId"),
    ("ec2", "describe_route_tables", {}, "RouteTables", "RouteTableId"),
    ("ec2", "describe_security_groups", {}, "SecurityGroups", "GroupId"),
    ("ec2", "describe_subnets", {}, "Subnets", "SubnetId"),
    ("ec2", "describe_vpc_endpoints", {}, "VpcEndpoints", "VpcEndpointId"),
    ("ec2", "describe_vpcs", {}, "Vpcs", "VpcId"),
    ("elasticache", "describe_user_groups", {}, "UserGroups", "UserGroupId"),
    ("elasticache", "describe_users", {}, "Users", "UserId"),
    ("events", "list_rules", {}, "Rules", "Name"),
    ("iam", "list_policies", {"Scope": "Local"}, "Policies", "Arn"),
    ("iam", "list_roles", {}, "Roles", "RoleName"),
    ("kms", "list_aliases", {}, "Aliases", "AliasName"),
    ("kms", "list_keys", {}, "Keys", "KeyId"),
    ("lambda", "list_event_source_mappings", {}, "EventSourceMappings", "UUID"),
    ("lambda", "list_functions", {}, "Functions", "FunctionName"),
    ("lambda", "list_layers", {}, "Layers", "LayerName"),
    ("logs", "describe_log_groups", {}, "logGroups", "logGroupName"),
    ("rds", "describe_db_instances", {}, "DBInstances", "DBInstanceIdentifier"),
    ("rds", "describe_db_parameter_groups", {}, "DBParameterGroups", "DBParameterGroupName"),
    ("rds", "describe_db_snapshots", {}, "DBSnapshots", "DBSnapshotIdentifier"),
    ("rds", "describe_db_subnet_groups", {}, "DBSubnetGroups", "DBSubnetGroupName"),
    ("s3", "list_buckets", {}, "Buckets", "Name"),
    ("secretsmanager", "list_secrets", {}, "SecretList", "Name"),
    ("sns", "list_topics", {}, "Topics", "TopicArn"),
)


def inventory(account: AwsAccount) -> set[tuple[str, str]]:
    """Return the kind and the name of everything; the deployments' own bucket and stack are SAM's."""
    found = {
        (f"{service} {key}", one[name])
        for service, call, given, key, name in _CALLS
        for one in getattr(account.client(service), call)(**given)[key]
    }
    found |= {("sqs Queues", one) for one in account.client("sqs").list_queues().get("QueueUrls", [])}
    distributions = account.client("cloudfront").list_distributions()["DistributionList"].get("Items", [])
    found |= {("cloudfront Distributions", one["Id"]) for one in distributions}
    return {(kind, name) for kind, name in found if not name.startswith("aws-sam-cli-managed-default")}
