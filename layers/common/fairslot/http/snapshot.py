"""What a process does on first use, done before AWS takes a snapshot of it: once for all copies."""

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from fairslot.http import routing
from fairslot.http.models import Model
from fairslot.platform.start import before_snapshot

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler import APIGatewayHttpResolver

# What the modules import late, since a process without a snapshot may never need it.
_LATE = (
    "aws_lambda_powertools.utilities.idempotency.persistence.cache",
    "botocore.session",
    "fairslot.access.tokens",
    "redis",
)


def prepare_before(app: "APIGatewayHttpResolver") -> None:
    """Have the models of all routes built, and all libraries loaded, before a snapshot; else do nothing."""
    before_snapshot(partial(_prepare, app))


def _prepare(app: "APIGatewayHttpResolver") -> None:
    for name in _LATE:
        import_module(name)
    for one, _ in routing.declared(app):
        # Both are kept by the route; they are read on its first request otherwise.
        _ = one.dependant, one.body_field
    _build(Model)


def _build(above: type[Model]) -> None:
    for one in above.__subclasses__():
        one.model_rebuild()
        _build(one)
