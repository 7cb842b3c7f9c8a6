"""CloudFront's proof that a request came through it: a secret header. docs/decisions/0129."""

import hmac
from collections.abc import Mapping

from fairslot.platform.settings import settings

_PROOF = "x-origin-secret"


def is_from_cloudfront(headers: Mapping[str, str]) -> bool:
    """Return whether CloudFront sent a request with these headers, their names in lower case."""
    given = headers.get(_PROOF, "").encode("utf-8", "surrogatepass")
    known = [one.strip().encode() for one in settings().origin_secrets.split(",")]
    # Each is compared: how long it takes tells nothing.
    return True in [hmac.compare_digest(given, one) for one in known if one]


def may_come_in(headers: Mapping[str, str]) -> bool:
    """Return whether a request came the way that it has to."""
    return not settings().only_through_cloudfront or is_from_cloudfront(headers)
