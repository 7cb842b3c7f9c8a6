"""Requests and answers about a calendar's ledger: adjustments, and the record."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from admin.settings_types import KindName
from fairslot.http.models import Model, Request
from fairslot.http.types import Id, storable


def _something(bookings: Decimal) -> Decimal:
    if not bookings:
        raise PydanticCustomError("nothing_to_adjust", "give a number that is not 0")
    return bookings


type Bookings = Annotated[
    Decimal,
    Field(ge=-1000, le=1000, decimal_places=6, allow_inf_nan=False),
    AfterValidator(_something),
    WithJsonSchema({"type": "number", "minimum": -1000, "maximum": 1000, "multipleOf": 0.000001}),
]
type Reason = Annotated[str, StringConstraints(min_length=1, max_length=1000), AfterValidator(storable)]


class AdjustmentRequest(Request):
    """By how many bookings more (or fewer) a coach shall be owed in a kind of hour, and why."""

    coach_id: Id
    bookings: Bookings
    reason: Reason
    kind: KindName = "normal"


class AdjustmentModel(Model):
    """A correction of what a coach is owed; the rest of the team paid for it, by weight.

    `seq` is its number in the calendar's record. `absence_id`: an absence that settled made it.
    """

    adjustment_id: UUID
    calendar_id: str
    coach_id: str
    kind: str
    bookings: float
    reason: str | None
    absence_id: UUID | None
    seq: int
    created_at: datetime


class AdjustmentPage(Model):
    """A page of adjustments in the order in which they were made."""

    data: list[AdjustmentModel]
    next_cursor: str | None


class StepModel(Model):
    """One step of a calendar's record, which moved the credits of a kind of hour.

    `assigned`: a decision; `reversed`: the decision `reverses_seq` undone; `left`, `settled`, `adjusted`: the
    credit of the coach `chosen` moved; `removed`: the kind, whose credits moved to normal.
    `candidates` have, as it applies, `coach_id`, `score`, `excluded`, and in millionths `weight`, `share`,
    `credit` (before) and `delta`; `last` is the number of the decision that had chosen the coach before.
    """

    seq: int
    step: Literal["assigned", "reversed", "left", "settled", "adjusted", "removed"]
    kind: str
    policy: str
    policy_version: int
    chosen: str | None
    reverses_seq: int | None
    appointment_id: UUID | None
    decided_at: datetime
    candidates: list[dict[str, Any]]


class CreditModel(Model):
    """What a coach is owed in a kind of hour, in millionths, and the last decision that chose the coach."""

    kind: str
    coach_id: str
    credit: int
    last_assigned_seq: int | None


class RecordPage(Model):
    """A page of the record; the last one has the credits that its steps lead to."""

    data: list[StepModel]
    next_cursor: str | None
    credits: list[CreditModel] | None
