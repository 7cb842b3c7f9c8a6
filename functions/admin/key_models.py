"""Requests and answers about API keys."""

from datetime import datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from fairslot.access.authorize import Scope
from fairslot.http.models import Model, Request
from fairslot.http.types import Id, Instant, storable

type Label = Annotated[str, StringConstraints(max_length=200), AfterValidator(storable)]


class KeyRequest(Request):
    """An API key: what it may do, on which calendars (null: on all), how often a minute, and until when.

    A key with the scope `admin` sees every calendar.
    """

    label: Label = ""
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=3)]
    calendars: Annotated[list[Id], Field(min_length=1, max_length=100)] | None = None
    rate_limit: Annotated[int, Field(ge=1, le=100_000)] = 100
    expires_at: Instant | None = None


class KeyRotationRequest(Request):
    """For how many hours the current key stays valid; with 0 it ends at once."""

    overlap_hours: Annotated[float, Field(ge=0, le=168, allow_inf_nan=False)] = 24

    @property
    def overlap(self) -> timedelta:
        return timedelta(hours=self.overlap_hours)


class KeyModel(Model):
    """An API key, of which `prefix` is all that is shown; `last_used_at` is right to within some minutes.

    `previous_key_until`: until when the key before the last rotation is valid too.
    """

    key_id: UUID
    label: str
    prefix: str
    scopes: list[Scope]
    calendars: list[str] | None
    rate_limit: int
    state: Literal["active", "expired", "revoked"]
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    previous_key_until: datetime | None


class KeyWithSecret(KeyModel):
    """An API key with its secret, which is returned only once: a replay has null."""

    key: str | None


class KeyPage(Model):
    """A page of API keys, the newest first."""

    data: list[KeyModel]
    next_cursor: str | None
