"""What the function that connects calendars, outside the VPC, asks the one inside that knows the links.

It is asked by an invocation, and not by a queue: whoever opens a link is waiting for the answer.
"""

from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from fairslot.messages import contract

# open: it can be used. gone: there is no such connection, coach or source any more.
type State = Literal["open", "used", "expired", "gone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a calendar is read and written with: ciphertext for {purpose: calendar, source_id}.

    `account` is whose calendar it is, `url` and `calendar_ref` where CalDAV found it.
    """

    ciphertext: str = field(repr=False)
    account: str | None = None
    url: str | None = None
    calendar_ref: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkQuestion:
    """A question about a link, by its token; with `credentials` it is used, if it can be."""

    token: str = field(repr=False)
    credentials: Credentials | None = None

    @staticmethod
    def from_json(body: str) -> "LinkQuestion":
        """Read a question. Raises MessageError."""
        return contract.read(LinkQuestion, body)

    def to_json(self) -> str:
        """Write it."""
        return contract.write(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkAnswer:
    """What a link was when it was asked about: where that was `open`, credentials that came along are stored.

    Of a link to connect again `account` is whose calendar it was, and `url` where.
    """

    state: State
    source_id: UUID | None = None
    kind: str | None = None
    reads: bool | None = None
    writes: bool | None = None
    calendar_ref: str | None = None
    url: str | None = None
    account: str | None = None

    @staticmethod
    def from_json(body: str) -> "LinkAnswer":
        """Read an answer. Raises MessageError."""
        return contract.read(LinkAnswer, body)
