"""CloudFront, the only way in where it stands before the API: it proves itself by a secret header.

See docs/decisions/0119-limits-by-address.md.
"""

import hmac
from collections.abc import Mapping
from typing import Any

from fairslot.domain.errors import ForbiddenError
from fairslot.platform.settings import settings

_PROOF = "x-origin-secret"


def check_way(event: Mapping[str, Any]) -> None:
    """Refuse a request that did not come through CloudFront, where every request has to.

    Raises:
        ForbiddenError: it came to API Gateway directly.

    """
    if settings().only_through_cloudfront and not is_from_cloudfront(event.get("headers") or {}):
        raise ForbiddenError("Requests come in through CloudFront only; use the address of the deployment.")


def is_from_cloudfront(headers: Mapping[str, str]) -> bool:
    """Tell whether a request's headers hold the proof."""
    given = headers.get(_PROOF, "").encode("utf-8", "surrogatepass")
    known = [one.strip().encode() for one in settings().origin_secrets.split(",")]
    # Each is compared: how long it takes tells nothing.
    return True in [hmac.compare_digest(given, one) for one in known if one]
