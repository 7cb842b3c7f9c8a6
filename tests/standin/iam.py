"""IAM: what ministack judges by other names than AWS, and a record of what was denied."""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from ministack.core import iam_actions, iam_evaluator  # type: ignore[import-not-found]
from ministack.services import iam, kms  # type: ignore[import-not-found]
from ministack.services.cloudformation import provisioners  # type: ignore[import-not-found]


def correct() -> None:
    """Correct the names of actions, keys and conditions; bound roles; write denials as JSON to stdout."""
    iam_actions.extract_iam_action = _single_actions(iam_actions.extract_iam_action)
    iam_actions.extract_resource_arn = _keys_of_aliases(iam_actions.extract_resource_arn)
    iam_actions.request_tag_context = _encryption_context(iam_actions.request_tag_context)
    iam_evaluator.pin_request_origin = _as_if_by_tls(iam_evaluator.pin_request_origin)
    iam_evaluator.enforce = _recorded(iam_evaluator.enforce)
    roles = provisioners._RESOURCE_HANDLERS["AWS::IAM::Role"]  # noqa: SLF001
    create, update = roles["create"], roles["update"]

    def created(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        return _bounded(create(logical_id, properties, stack), properties)

    def updated(physical_id: str, old: dict[str, Any], new: dict[str, Any], *rest: Any, **named: Any) -> Any:
        return _bounded(update(physical_id, old, new, *rest, **named), new)

    roles |= {"create": created, "update": updated}


def _bounded(made: tuple[str, Any], properties: dict[str, Any]) -> tuple[str, Any]:
    """Give a role of a stack its permissions boundary, which ministack leaves out.

    "The ARN of the policy used to set the permissions boundary for the role. Update requires: No
    interruption": AWS CloudFormation, "AWS::IAM::Role".
    """
    name = made[0]
    if boundary := properties.get("PermissionsBoundary"):
        given = {"RoleName": name, "PermissionsBoundary": boundary}
        status, _, body = iam._put_role_permissions_boundary(given)  # noqa: SLF001
        if status != HTTPStatus.OK:
            raise ValueError(f"{name} cannot have the boundary {boundary}: {body!r}")
    else:
        iam._roles[name]["PermissionsBoundary"] = None  # noqa: SLF001
    return made


def _single_actions(found: Callable[..., str | None]) -> Callable[..., str | None]:
    """Judge a batch by the right to the single action; ministack asks for a right named `sqs:…Batch`.

    "Granting permissions for SendMessage, DeleteMessage or ChangeMessageVisibility also grants those for the
    batch versions": Amazon SQS Developer Guide, "Amazon SQS API permissions".
    """

    def action(service: str, *rest: Any, **named: Any) -> str | None:
        name = found(service, *rest, **named)
        return name.removesuffix("Batch") if service == "sqs" and name else name

    return action


def _keys_of_aliases(found: Callable[..., str]) -> Callable[..., str]:
    """Judge a call that names a key's alias by the key; ministack judges it by the alias's ARN.

    "The alias does not control access to the KMS key": AWS KMS Developer Guide, "Controlling access to
    aliases".
    """

    def resource(service: str, *rest: Any, **named: Any) -> str:
        arn = found(service, *rest, **named)
        if service == "kms" and ":alias/" in arn and (key := kms._resolve_key(arn)) is not None:  # noqa: SLF001
            return str(key["Arn"])
        return arn

    return resource


def _encryption_context(found: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Give conditions `kms:EncryptionContext:name` and `kms:EncryptionContextKeys`, which ministack lacks."""

    def context(service: str, action: str, body: bytes, parameters: dict[str, Any]) -> dict[str, Any]:
        known = found(service, action, body, parameters)
        if service != "kms":
            return known
        given: dict[str, str] = (json.loads(body or b"{}")).get("EncryptionContext") or {}
        named = {f"kms:EncryptionContext:{name}": value for name, value in given.items()}
        return known | named | ({"kms:EncryptionContextKeys": list(given)} if given else {})

    return context


def _as_if_by_tls(pin: Callable[[str, bool], None]) -> Callable[[str, bool], None]:
    """Judge every call as one that came by TLS, which is not there: queues take no others."""
    return lambda source, _is_safe: pin(source, True)  # noqa: FBT003


def _recorded(judge: Callable[..., Any]) -> Callable[..., Any]:
    """Write who was denied what: the tests of roles read it."""

    def enforce(access_key: str, action: str, service: str, region: str, **named: Any) -> Any:
        denied = judge(access_key, action, service, region, **named)
        if denied is not None:
            who = getattr(denied, "principal_arn", "")
            line = {"denied": action, "on": named.get("resource_arn", "*"), "to": who}
            print(json.dumps(line), flush=True)  # noqa: T201
        return denied

    return enforce
