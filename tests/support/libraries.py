"""The lists of packages that each function may load: at import, and by the end of its first event."""

from collections.abc import Collection, Mapping
from importlib.metadata import packages_distributions

_EVERY = {
    "annotated_types",
    "aws_lambda_powertools",
    "aws_lambda_powertools.utilities.jmespath_utils",
    "jmespath",
    "pydantic",
    "pydantic_core",
    "typing_extensions",
    "typing_inspection",
}
_EVENTS = {"aws_lambda_powertools.utilities.data_classes"}
_ROUTES = _EVENTS | {"aws_lambda_powertools.event_handler"}
_MESSAGES = _EVENTS | {"aws_lambda_powertools.utilities.batch"}
_DATA = {"psycopg", "psycopg_binary"}
_INTERNET = {"click", "httpx", "idna"}

AT_IMPORT: Mapping[str, Collection[str]] = {
    "admin.app": _EVERY | _ROUTES | _DATA,
    "availability.app": _EVERY | _ROUTES | _DATA,
    "background.connections": _EVERY | _DATA,
    "background.maintenance": _EVERY | _DATA,
    "background.permits": _EVERY | _DATA,
    "background.results": _EVERY | _MESSAGES | _DATA,
    "background.store": _EVERY | _MESSAGES | _DATA,
    "background.sync": _EVERY | _DATA,
    "booking.app": _EVERY | _ROUTES | _DATA,
    "calendar_connect.app": _EVERY | _INTERNET,
    "calendar_fetch.app": _EVERY | _MESSAGES | _INTERNET,
    "calendar_push.app": _EVERY,
    "deploy.first_key": _EVERY | _DATA,
    "deploy.migrate": _EVERY | _DATA | _INTERNET,
    "webhook_dispatch.app": _EVERY | _MESSAGES | _INTERNET,
}

_CACHE = {"redis"}
_AWS = {"botocore", "dateutil", "six", "urllib3"}
_SENT = {"anyio", "certifi", "h11", "httpcore", "sniffio"}
# Powertools imports boto3 with every kind of idempotency, for the DynamoDB one.
_IDEMPOTENCY = {"aws_lambda_powertools.utilities.idempotency", "boto3", "certifi", "s3transfer"}
_ADDRESS = {"email_validator", "idna"}
_ZONES = {"tzdata"}
_SEALED = {"_cffi_backend", "cryptography"}

AFTER_FIRST: Mapping[str, Collection[str]] = {
    "admin.app": {*AT_IMPORT["admin.app"]} | _CACHE,
    "availability.app": {*AT_IMPORT["availability.app"]} | _CACHE,
    "background.connections": {*AT_IMPORT["background.connections"]} | _SEALED,
    "background.maintenance": {*AT_IMPORT["background.maintenance"]},
    "background.permits": {*AT_IMPORT["background.permits"]},
    "background.results": {*AT_IMPORT["background.results"]},
    "background.store": {*AT_IMPORT["background.store"]} | _ZONES,
    "background.sync": {*AT_IMPORT["background.sync"]},
    "booking.app": {*AT_IMPORT["booking.app"]} | _CACHE | _AWS | _IDEMPOTENCY | _ADDRESS,
    "calendar_fetch.app": {*AT_IMPORT["calendar_fetch.app"]} | _AWS | _SENT | _ZONES,
    "calendar_push.app": {*AT_IMPORT["calendar_push.app"]} | _AWS | {"certifi"},
    "webhook_dispatch.app": {*AT_IMPORT["webhook_dispatch.app"]} | _AWS | _SENT,
}


def check(module: str, modules: Collection[str], allowed: Collection[str], *, when: str) -> None:
    """Assert that of the packages that are installed a function has loaded exactly the allowed ones."""
    loaded = libraries(modules)
    more, less = sorted(loaded - {*allowed}), sorted({*allowed} - loaded)
    assert not more, (
        f"{module} {when} loads {more}, not on its list. Each package adds to every cold start: import it"
        " where it is used, as fairslot/platform/aws.py does, or, if the function needs it at once, put it on"
        " the list in tests/support/libraries.py."
        f" `python -X importtime -c 'import {module}'` shows who imports it."
    )
    assert not less, f"{module} {when} no longer loads {less}: take it off its list."


def libraries(modules: Collection[str]) -> set[str]:
    """Return the packages of modules; Powertools' utilities are apart, as each brings packages of its own."""
    installed = packages_distributions()
    return {_package(name) for name in modules if name.partition(".")[0] in installed} - {""}


def _package(name: str) -> str:
    top, *inner = name.split(".")
    if top == "aws_lambda_powertools" and inner[:1] == ["utilities"]:
        return "" if inner[1:2] in ([], ["typing"]) else ".".join((top, *inner[:2]))
    if top == "aws_lambda_powertools" and inner[:1] == ["event_handler"]:
        return f"{top}.event_handler"
    if top == "botocore" and not inner:
        return ""  # Powertools asks whether it is there
    if top == "cryptography" and inner in ([], ["__about__"]):
        return ""  # redis asks whether it is there
    return top
