"""HTTP APIs: ministack ignores `Body`, in which SAM writes every route, and fails at `"body": null`.

It leaves a request's cookies among its headers, where a function does not look for them.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from ministack.services import apigateway  # type: ignore[import-not-found]
from ministack.services.cloudformation import provisioners  # type: ignore[import-not-found]

_KIND = "AWS::ApiGatewayV2::Api"
_METHODS = {"get", "put", "post", "delete", "patch", "head", "options"}
_ANY = "x-amazon-apigateway-any-method"


def correct() -> None:
    """Make the routes of the document whenever the API is created or updated; send no body for null."""
    handlers = provisioners._RESOURCE_HANDLERS[_KIND]  # noqa: SLF001
    create, update = handlers["create"], handlers["update"]

    def created(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        made = create(logical_id, properties, stack)
        _import(made[0], properties.get("Body") or {})
        return made

    def updated(physical_id: str, old: dict[str, Any], new: dict[str, Any], *rest: Any) -> Any:
        made = update(physical_id, old, new, *rest)
        _import(made[0], new.get("Body") or {})
        return made

    handlers.update(create=created, update=updated)
    apigateway._invoke_lambda_proxy = _empty_bodies(apigateway._invoke_lambda_proxy)  # noqa: SLF001
    apigateway.run_reentrant = _with_cookies(apigateway.run_reentrant)


def _empty_bodies(invoke: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def invoked(*given: Any, **named: Any) -> Any:
        status, headers, body = await invoke(*given, **named)
        return status, headers, body or b""

    return invoked


def _with_cookies(run: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Have an event of payload format 2.0 carry cookies in a member of their own.

    "Create AWS Lambda proxy integrations for HTTP APIs", API Gateway Developer Guide.
    """

    async def ran(function: Any, record: Any, event: Any, **named: Any) -> Any:
        if isinstance(event, dict) and event.get("version") == "2.0":
            found = event["headers"].pop("cookie", None)
            if found is not None:
                event["cookies"] = [one.strip() for one in found.split(";")]
        return await run(function, record, event, **named)

    return ran


def _import(api: str, document: dict[str, Any]) -> None:
    """Replace an API's routes by those of an OpenAPI document.

    "Working with OpenAPI definitions for HTTP APIs", API Gateway Developer Guide.
    """
    apigateway._routes[api], apigateway._integrations[api] = {}, {}  # noqa: SLF001
    integrations: dict[str, str] = {}
    for path, operations in document.get("paths", {}).items():
        for method, operation in operations.items():
            if method not in _METHODS | {_ANY}:
                continue
            target = operation["x-amazon-apigateway-integration"]
            function = target["uri"].split("/functions/", 1)[-1].removesuffix("/invocations")
            if function not in integrations:
                integrations[function] = _integration(api, function, target["payloadFormatVersion"])
            verb = "ANY" if method == _ANY else method.upper()
            key = "$default" if path == "/$default" else f"{verb} {path}"
            route = {"routeKey": key, "target": f"integrations/{integrations[function]}"}
            _made(apigateway._create_route, api, route)  # noqa: SLF001


def _integration(api: str, function: str, version: str) -> str:
    data = {"integrationType": "AWS_PROXY", "integrationUri": function, "payloadFormatVersion": version}
    made: str = _made(apigateway._create_integration, api, data)["integrationId"]  # noqa: SLF001
    return made


def _made(create: Callable[..., Any], api: str, data: dict[str, str]) -> dict[str, Any]:
    status, _, body = create(api, data)
    if status != 201:
        raise ValueError(f"{_KIND}: {data} was refused: {body!r}")
    made: dict[str, Any] = json.loads(body)
    return made
