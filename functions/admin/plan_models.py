"""What a change of a team does or would do, and a whole team as one document."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from admin.calendar_models import CalendarRequest, CalendarSettings, MemberRequest
from admin.coach_models import CoachRequest, CoachSettings
from admin.settings_models import BuffersModel
from admin.settings_types import NewId
from admin.source_models import SourceKind, SourceOfDocument
from fairslot.http.models import Model, Request, example


class ChangeOfResource(Model):
    """What is created, updated or deleted, and which members change."""

    resource: Literal["coach", "calendar", "member", "absence", "adjustment", "source"]
    id: str
    action: Literal["create", "update", "delete"]
    members: list[str]


class TouchedAppointment(Model):
    """An appointment that no longer fits: why, and what becomes of it.

    `nobody_free`: no other coach of the team could take it.
    """

    appointment_id: UUID
    calendar_id: str
    coach_id: str
    start_time: datetime
    end_time: datetime
    reason: Literal[
        "inactive",
        "left_team",
        "absent",
        "outside_working_hours",
        "calendar_closed",
        "calendar_deleted",
        "contact_forgotten",
    ]
    outcome: Literal["reassigned", "cancelled", "kept", "nobody_free"]
    new_coach_id: str | None


class ShareChange(Model):
    """A coach's share of a calendar's bookings (0 to 1) and credit in a kind of hour (bookings).

    Null: not in the team, or no such kind.
    """

    calendar_id: str
    kind: str
    coach_id: str
    share_before: float | None
    share_after: float | None
    credit_before: float | None
    credit_after: float | None


class Plan(Model):
    """What a change does, or would do. Shares are those of kinds of hours in which one changes.

    There are 10,000 shares at most.
    """

    changes: list[ChangeOfResource]
    appointments: list[TouchedAppointment]
    holds_released: int
    shares: list[ShareChange]


class CoachEntry(CoachRequest):
    """A coach of a document, with all external calendars; without `sources` they stay as they are.

    A source is known by its kind, url, calendar_ref and username. Passwords are set by its own routes.
    """

    sources: Annotated[list[SourceOfDocument], Field(max_length=20)] | None = None


class CalendarEntry(CalendarRequest):
    """A calendar of a document, with its whole team; without `team` the team stays as it is."""

    team: Annotated[dict[NewId, MemberRequest], Field(max_length=2000)] | None = None


class Document(Request):
    """A team: coaches and calendars by id. What is not in it stays as it is, or goes with `prune`."""

    model_config = example(
        coaches={
            "ann": {
                "name": "Ann",
                "time_zone": "Europe/Berlin",
                "working_hours": {"mon": [["09:00", "17:00"]]},
            }
        },
        calendars={"intro": {"name": "Intro call", "slot_duration": 30, "team": {"ann": {}}}},
    )

    coaches: Annotated[dict[NewId, CoachEntry], Field(max_length=2000)] = Field(default_factory=dict)
    calendars: Annotated[dict[NewId, CalendarEntry], Field(max_length=200)] = Field(default_factory=dict)

    def __repr__(self) -> str:
        """Return its size: the resolver writes every call's arguments for a log line that it discards."""
        return f"Document({len(self.coaches)} coaches, {len(self.calendars)} calendars)"


class MemberSettings(Model):
    """What is set of a member of a team."""

    weight: float
    buffers: BuffersModel
    notice: int


class SourceInDocument(Model):
    """What is set of an external calendar, without its password."""

    kind: SourceKind
    url: str | None
    calendar_ref: str | None
    username: str | None
    reads: bool
    writes: bool


class CoachOfDocument(CoachSettings):
    """A coach with all external calendars."""

    sources: list[SourceInDocument]


class CalendarOfDocument(CalendarSettings):
    """A calendar with its team."""

    team: dict[str, MemberSettings]


class DocumentModel(Model):
    """A team: coaches and calendars by id."""

    coaches: dict[str, CoachOfDocument]
    calendars: dict[str, CalendarOfDocument]
