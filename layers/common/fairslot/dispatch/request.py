"""What one attempt posts, and how its response is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from fairslot.dispatch.blocks import Blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to post to an endpoint.

    `keep`: what is kept of the response, and the members of its JSON to find it in, in order. `log`: the URL
    where the partner lists what it received by idempotency key, to recover a lost response. `blocks`: where a
    calendar lists its blocks, for a block that is refused; with `lookup_only` nothing is posted. `refusals`:
    the status codes that a retry cannot change, and their reasons. `headers`: beside the idempotency key.
    `trusted`: the URL is the operator's, not a customer's. `is_personal`: the body names the customer.
    """

    url: str
    body: Mapping[str, JsonValue]
    headers: Mapping[str, str] = field(default_factory=dict)
    trusted: bool = True
    is_personal: bool = False
    keep: Mapping[str, Sequence[str]] = field(default_factory=dict)
    log: str | None = None
    blocks: Blocks | None = None
    lookup_only: bool = False
    refusals: Mapping[int, str] = field(default_factory=dict)
