"""EC2: rules of security groups that stand beside their group, which ministack does not know."""

from typing import Any

from ministack.services import ec2  # type: ignore[import-not-found]
from ministack.services.cloudformation import provisioners  # type: ignore[import-not-found]

# Where a group keeps the rules of a kind.
_KINDS = {
    "AWS::EC2::SecurityGroupIngress": "IpPermissions",
    "AWS::EC2::SecurityGroupEgress": "IpPermissionsEgress",
}


def correct() -> None:
    """Add such a rule to its group, and take it out again. No packet is judged by it."""
    for kind, kept in _KINDS.items():
        provisioners._RESOURCE_HANDLERS[kind] = _handlers(kept)  # noqa: SLF001


def _handlers(kept: str) -> dict[str, Any]:
    def create(logical_id: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, str]]:
        made = provisioners._ec2_sg_permissions([properties])  # noqa: SLF001
        _rules(properties, kept).extend(made)
        return f"{stack}-{logical_id}", {}

    def delete(physical_id: str, properties: dict[str, Any]) -> None:
        rules, gone = _rules(properties, kept), provisioners._ec2_sg_permissions([properties])  # noqa: SLF001
        rules[:] = [one for one in rules if one not in gone]

    return {"create": create, "delete": delete}


def _rules(properties: dict[str, Any], kept: str) -> list[Any]:
    group = ec2._security_groups.get(properties["GroupId"]) or {}  # noqa: SLF001
    rules: list[Any] = group.get(kept, [])
    return rules
