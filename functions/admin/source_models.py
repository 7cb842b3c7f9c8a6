"""Requests and answers about coaches' external calendars."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from admin.settings_models import Patch
from fairslot.http.models import Model, Request, example
from fairslot.http.types import storable

type SourceKind = Literal["calendar_api", "icalendar", "caldav", "google", "microsoft"]
type State = Literal["new", "ok", "stale", "disconnected", "unsupported"]
type Url = Annotated[str, StringConstraints(min_length=1, max_length=2000), AfterValidator(storable)]
type Text = Annotated[str, StringConstraints(min_length=1, max_length=1000), AfterValidator(storable)]
_WITH_URL = frozenset({"icalendar", "caldav"})
_WITH_ACCOUNT = frozenset({"caldav", "google", "microsoft"})


class SourceSettings(Request):
    """What is set of a source, without a password.

    `url` is of the kinds icalendar and caldav; `username` is the account of caldav, google and microsoft.
    `calendar_ref` says which of an account's calendars; null: its own. A calendar is read, written, or both;
    an iCalendar feed is only read, and the calendar API always is.
    """

    kind: SourceKind
    url: Url | None = None
    calendar_ref: Text | None = None
    username: Text | None = None
    reads: bool = True
    writes: bool = False

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "SourceSettings":
        if (self.kind in _WITH_URL) != (self.url is not None):
            raise PydanticCustomError("url", "the kinds icalendar and caldav have a url, and no other kind")
        if self.username is not None and self.kind not in _WITH_ACCOUNT:
            raise PydanticCustomError("username", "the kinds icalendar and calendar_api have no user name")
        if self.kind == "icalendar" and self.writes:
            raise PydanticCustomError("writes", "an iCalendar feed cannot be written")
        if not self.reads and (self.kind == "calendar_api" or not self.writes):
            raise PydanticCustomError("reads", "read it, or write it where its kind may be written alone")
        return self


class SourceOfDocument(SourceSettings):
    """A source in a document: without a password, which is never exported."""


class SourceRequest(SourceSettings):
    """An external calendar of a coach. A password goes in and never comes out."""

    model_config = example(
        kind="caldav",
        url="https://dav.example.com/",
        username="ann",
        password="…",  # noqa: S106 - it is an example
        writes=True,
    )

    password: Text | None = Field(default=None, repr=False)

    @model_validator(mode="after")
    def _has_both(self) -> "SourceRequest":
        _check_both(self.username, self.password)
        return self


class SourcePatch(Patch):
    """What to change of a source; null removes. A user name and a password are given together."""

    model_config = example(username="ann", password="…")  # noqa: S106 - it is an example

    url: Url | None = None
    calendar_ref: Text | None = None
    username: Text | None = None
    password: Text | None = Field(default=None, repr=False)
    reads: bool | None = None
    writes: bool | None = None

    @model_validator(mode="after")
    def _has_both(self) -> "SourcePatch":
        _check_both(self.username, self.password)
        if len(self.model_fields_set & {"username", "password"}) == 1:
            raise PydanticCustomError("password", "give the user name and the password together")
        return self


class SourceModel(Model):
    """An external calendar of a coach, and how it goes.

    `state`: `new` before its first reading, `ok`, `stale` 15 minutes after its last good reading,
    `disconnected` until somebody connects it again, `unsupported` where its server cannot do what is needed:
    the last two are not read any more. `synced_at` is when the last good reading began, `next_read_at` when
    the schedule asks next, `error` what is wrong and what to do, with its `error_code`. `reconnect` is where
    to connect again, null if there is nothing to do there.
    """

    source_id: UUID
    coach_id: str
    kind: SourceKind
    url: str | None
    calendar_ref: str | None
    username: str | None
    reads: bool
    writes: bool
    state: State
    synced_at: datetime | None
    failed_at: datetime | None
    next_read_at: datetime | None
    error: str | None
    error_code: str | None
    unreadable_events: int
    reconnect: str | None


class SourcePage(Model):
    """All sources of a coach, in the order in which they were added."""

    data: list[SourceModel]
    next_cursor: None = None


def _check_both(username: str | None, password: str | None) -> None:
    if (username is None) != (password is None):
        raise PydanticCustomError("password", "give the user name and the password together")
