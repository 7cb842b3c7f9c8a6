"""What one attempt at a delivery posts, and what it makes of the answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from fairslot.dispatch.blocks import Blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to post to a subscriber.

    `keep`: what of the answer is kept, and the answer's members to look for it in, the best first. `log`:
    where the receiver shows what it took, by key, for what is kept of an answer that was lost. `blocks`:
    where a calendar lists what it holds, for a block that is refused; with `only_look` nothing is posted.
    `refusals`: the status codes that no further attempt can change, and what they are called.
    `headers`: beside the idempotency key. `trusted`: the address is the operator's and not a customer's.
    """

    url: str
    body: Mapping[str, JsonValue]
    headers: Mapping[str, str] = field(default_factory=dict)
    trusted: bool = True
    keep: Mapping[str, Sequence[str]] = field(default_factory=dict)
    log: str | None = None
    blocks: Blocks | None = None
    only_look: bool = False
    refusals: Mapping[int, str] = field(default_factory=dict)
