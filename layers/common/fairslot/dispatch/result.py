"""What came of one attempt at a delivery."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of one attempt; without an `error` the event is delivered.

    `final`: a retry would change nothing. `taken`: the endpoint has the event, only its response is lost.
    `retry_after`: the seconds that the endpoint asked to wait, 0 for none. `seconds`: how long it took, from
    name lookup to the last byte.
    """

    error: str | None = None
    final: bool = False
    taken: bool = False
    status_code: int | None = None
    response_excerpt: str = ""
    answer: Mapping[str, str] = field(default_factory=dict)
    retry_after: float = 0.0
    seconds: float = 0.0
