"""What the audit says of webhook endpoints."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fairslot.platform.audit import Entry


def entry_of(
    action: str, endpoint_id: UUID, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> Entry:
    """Return the audit's entry; of an own header and of an address's query only that they are there."""
    return Entry(
        resource="endpoint",
        resource_id=str(endpoint_id),
        action=action,
        before=_without_secrets(before),
        after=_without_secrets(after),
    )


def _without_secrets(endpoint: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return an endpoint without what may be a token: values of its headers, and its address's query."""
    if endpoint is None or "headers" not in endpoint:
        return endpoint
    address, has_query, _ = (endpoint["url"] or "").partition("?")
    return {
        **endpoint,
        "url": f"{address}?…" if has_query else endpoint["url"],
        "headers": dict.fromkeys(endpoint["headers"], "…"),
    }
