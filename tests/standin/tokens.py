"""Tokens by which RDS and ElastiCache let in: presigned requests, judged as AWS judges them."""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

from ministack.core import iam_evaluator, sigv4  # type: ignore[import-not-found]
from ministack.core.responses import request_scope  # type: ignore[import-not-found]

# The digest of an empty body.
_NO_PAYLOAD = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a token lets in to: the service, the host that is signed, and the right that is needed."""

    service: str
    host: str
    action: str
    account: str
    region: str


def lets_in(token: str, place: Place, *, asked: Mapping[str, str], resources: Iterable[str]) -> bool:
    """Tell whether a token is valid for a place, and whether its signer may do the action on all resources.

    `asked` is what the request has to ask for. Who is not let in for lack of a right is written to stdout, as
    a call that is denied is.
    """
    parsed = urlsplit(f"//{token}")
    given = dict(parse_qsl(parsed.query))
    key, day, region, service, _ = given["X-Amz-Credential"].split("/")
    signed = datetime.strptime(given["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    if not signed - 300 <= time.time() < signed + min(int(given["X-Amz-Expires"]), 900):
        return False
    if (parsed.netloc, region, service) != (place.host, place.region, place.service):
        return False
    if any(given.get(name) != value for name, value in asked.items()):
        return False
    with request_scope(place.account, place.region):
        known = iam_evaluator.resolve_credential(key, place.account, given.get("X-Amz-Security-Token", ""))
        if isinstance(known, iam_evaluator.CredentialResolutionError):
            return False
        request = sigv4.build_canonical_request(
            "GET", "/", {"host": parsed.netloc}, given, "host", payload_hash=_NO_PAYLOAD
        )
        text = sigv4.build_string_to_sign(given["X-Amz-Date"], day, region, service, request)
        signature = sigv4.calculate_signature(known.secret_access_key, day, region, service, text)
        if not sigv4.signatures_match(signature, given["X-Amz-Signature"]):
            return False
        return all(_may(key, place, resource) for resource in resources)


def _may(key: str, place: Place, resource: str) -> bool:
    who = iam_evaluator.resolve_principal(key, place.account)
    context = iam_evaluator.EvalContext(
        principal_arn=who.arn,
        principal_type=who.type,
        principal_account=who.account,
        action=place.action,
        resource_arn=resource,
        region=place.region,
        principal_keys=who.keys,
    )
    if iam_evaluator.evaluate(context, who.policies, *who.limits).decision == "Allow":
        return True
    print(json.dumps({"denied": place.action, "on": resource, "to": who.arn}), flush=True)  # noqa: T201
    return False
