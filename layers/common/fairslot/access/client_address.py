"""The address that a request comes from: the true one, and never as it is.

Who connects to API Gateway is known for sure. That is CloudFront where a request comes through it, and it
proves so by a secret header (docs/decisions/0119-limits-by-address.md). Only then is anything taken from
X-Forwarded-For, and of it only what CloudFront has added: its viewer. What stands before that, and every
other header, is the client's own word.
"""

import ipaddress
import secrets
from collections.abc import Mapping
from functools import cache, lru_cache
from hashlib import blake2b
from typing import Any

from fairslot.domain.errors import ForbiddenError
from fairslot.platform import edge_proof
from fairslot.platform.settings import settings


def check_way(event: Mapping[str, Any]) -> None:
    """Refuse a request that did not come through CloudFront, where every request has to.

    Raises:
        ForbiddenError: it came to API Gateway directly.

    """
    if not edge_proof.may_come_in(event.get("headers") or {}):
        raise ForbiddenError("Requests come in through CloudFront only; use the address of the deployment.")


def digest_of(event: Mapping[str, Any]) -> str:
    """Return the keyed digest of the network that a request (an API Gateway event) comes from."""
    return _digest(_source(event))


@lru_cache(maxsize=256)
def _digest(source: str) -> str:
    return blake2b(_network(source).encode(), key=_secret(), digest_size=16).hexdigest()


def _source(event: Mapping[str, Any]) -> str:
    """Return the address of the client, as far as it is sure."""
    peer: str = event["requestContext"]["http"]["sourceIp"]
    headers: Mapping[str, str] = event.get("headers") or {}
    if not edge_proof.is_from_cloudfront(headers):
        return peer
    hops = [one.strip() for one in headers.get("x-forwarded-for", "").split(",")]
    # API Gateway adds who connected to it: CloudFront. Before that stands what CloudFront has added.
    if len(hops) > 1 and hops[-1] == peer:
        hops.pop()
    return hops[-1] if _is_address(hops[-1]) else peer


def _network(source: str) -> str:
    """Return what an address is counted as: of IPv6 its /64, which belongs to one subscriber."""
    address = ipaddress.ip_address(source)
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or ipaddress.ip_network((int(address), 64), strict=False))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


@cache
def _secret() -> bytes:
    """Return what digests are keyed with: without the setting, a secret of this process alone."""
    given = settings().address_secret
    return blake2b(given.encode(), digest_size=32).digest() if given else secrets.token_bytes(32)


def clear_cache() -> None:
    """Forget the secret, and the digests that were made with it."""
    _digest.cache_clear()
    _secret.cache_clear()
