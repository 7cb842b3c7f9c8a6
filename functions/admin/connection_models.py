"""Requests and answers about links by which coaches connect their calendars."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from fairslot.http.models import Model, Request, example
from fairslot.http.types import storable

type ConnectKind = Literal["caldav", "google", "microsoft"]
type CalendarRef = Annotated[str, StringConstraints(min_length=1, max_length=1000), AfterValidator(storable)]


class ConnectionRequest(Request):
    """A calendar that a coach is to connect: read, written, or both.

    `calendar_ref` says which of the account's calendars; null: its own. With `source_id` that source, of the
    same kind, is connected again; without it the coach gets a new one.
    """

    model_config = example(kind="google", writes=True)

    kind: ConnectKind
    calendar_ref: CalendarRef | None = None
    reads: bool = True
    writes: bool = False
    source_id: UUID | None = Field(default=None)

    @model_validator(mode="after")
    def _is_for_something(self) -> "ConnectionRequest":
        if not (self.reads or self.writes):
            raise PydanticCustomError("reads", "read it, write it, or both")
        return self


class ConnectionModel(Model):
    """A link by which a coach connects a calendar: `link`, once, until `expires_at`.

    It is returned in this answer only: a replay has null. Send it to the coach alone, as whoever has it can
    connect a calendar of their own. `source_id` is the source that it makes, or connects again.
    """

    connection_id: UUID
    coach_id: str
    source_id: UUID
    kind: ConnectKind
    calendar_ref: str | None
    reads: bool
    writes: bool
    expires_at: datetime
    link: str | None
