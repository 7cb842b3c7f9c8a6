"""CloudFront: an origin that is an HTTP API is this account's; /health is the API's path, not ministack's."""

import os
from collections.abc import Callable
from typing import Any

from ministack import app  # type: ignore[import-not-found]
from ministack.services import cloudfront  # type: ignore[import-not-found]

_HEALTH = "/health"


def correct() -> None:
    """Send what is for an HTTP API to the gateway here; leave `/health` to whom the request is for."""
    cloudfront._forward_to_origin = _to_the_gateway(cloudfront._forward_to_origin)  # noqa: SLF001
    app._HEALTH_PATHS = tuple(path for path in app._HEALTH_PATHS if path != _HEALTH)  # noqa: SLF001


def _to_the_gateway(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Reach `<id>.execute-api.<region>.amazonaws.com` by the gateway's path: ministack calls none of AWS."""

    def forwarded(origin: dict[str, Any], method: str, path: str, *rest: Any) -> Any:
        api, dot, _ = origin["domain_name"].partition(".execute-api.")
        if not dot:
            return forward(origin, method, path, *rest)
        here = {
            "domain_name": "127.0.0.1",
            "http_port": int(os.environ["GATEWAY_PORT"]),
            "protocol_policy": "http-only",
        }
        return forward(origin | here, method, f"/_aws/execute-api/{api}{path}", *rest)

    return forwarded
