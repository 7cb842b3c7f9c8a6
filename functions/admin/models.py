"""Requests and answers of the administration's routes."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

from fairslot.http.models import Model, PersonalModel, Request, example
from fairslot.http.types import Instant, storable
from fairslot.webhooks.subscriptions import LONGEST_URL, PATTERNS, SentType

type Url = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_URL), AfterValidator(storable)]
# For the contract only: fairslot.webhooks.subscriptions.accept refuses any other pattern.
_PATTERN = WithJsonSchema({"type": "string", "enum": sorted(PATTERNS)})
type Patterns = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=100), _PATTERN]],
    Field(min_length=1, max_length=20),
]
type Description = Annotated[str, StringConstraints(max_length=500), AfterValidator(storable)]
type Headers = Annotated[dict[str, str], Field(max_length=20)]
type Concurrency = Annotated[int, Field(ge=1, le=100)]
type Rate = Annotated[float, Field(ge=0.01, le=1000, allow_inf_nan=False)]


class EndpointRequest(Request):
    """A subscriber; its patterns are event types, groups such as `appointment.*`, or `*`."""

    model_config = example(url="https://example.com/hooks", event_types=["appointment.*"])

    url: Url
    event_types: Patterns
    description: Description = ""
    headers: Headers = Field(default_factory=dict)
    concurrency: Concurrency | None = None
    rate_per_second: Rate | None = None
    enabled: bool = True


class EndpointChange(Request):
    """What to change; members that are left out stay as they are."""

    model_config = example(enabled=False)

    url: Url | None = None
    event_types: Patterns | None = None
    description: Description | None = None
    headers: Headers | None = None
    concurrency: Concurrency | None = None
    rate_per_second: Rate | None = None
    enabled: bool | None = None

    @model_validator(mode="after")
    def _has_values(self) -> "EndpointChange":
        without = self.model_fields_set - {"concurrency", "rate_per_second"}
        if any(getattr(self, name) is None for name in without):
            raise ValueError("null is not allowed here; leave the member out")
        return self

    @model_serializer
    def _given_members(self) -> dict[str, Any]:
        return {
            name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set
        }


type Overlap = Annotated[float, Field(ge=0, le=168, allow_inf_nan=False)]


class RotationRequest(Request):
    """For how many hours the current secret signs too; with 0 only the new one does."""

    model_config = example(overlap_hours=96)

    # A message carries the secrets of when it was written, and waits for three and a half days at most
    # (WEBHOOK_GIVE_UP_SECONDS). A subscriber that drops the old secret sooner refuses late attempts.
    overlap_hours: Overlap = 96

    @property
    def overlap(self) -> timedelta:
        return timedelta(hours=self.overlap_hours)


class SourceRotationRequest(RotationRequest):
    """For how many hours the current secret is valid too; with 0 only the new one is."""

    model_config = example(overlap_hours=24)

    # Partners sign at the moment of sending.
    overlap_hours: Overlap = 24


class RecoveryRequest(Request):
    """The instant from which to recover."""

    model_config = example(since="2026-12-01T00:00:00Z")

    since: Instant


class EndpointModel(Model):
    """A receiver of events: a subscriber (`standard`) or a partner of the deployment.

    `previous_secrets_until`: until when each earlier secret signs too, the newest first.
    """

    endpoint_id: UUID
    kind: Literal["standard", "crm", "calendar_api"]
    url: str | None
    event_types: list[Annotated[str, _PATTERN]]
    description: str
    headers: dict[str, str]
    concurrency: int | None
    rate_per_second: float | None
    enabled: bool
    disabled_reason: Literal["by_request", "gone", "failing"] | None
    disabled_at: datetime | None
    failing_since: datetime | None
    previous_secret_until: datetime | None
    previous_secrets_until: list[datetime]
    created_at: datetime
    updated_at: datetime


class EndpointWithSecret(EndpointModel):
    """An endpoint with its new secret, which is returned only once: a replay has null."""

    secret: str | None


class EndpointPage(Model):
    """The endpoints, the oldest first."""

    data: list[EndpointModel]
    next_cursor: str | None


class TestSent(Model):
    """A test event that was queued."""

    delivery_id: UUID
    event_id: UUID


class Recovered(Model):
    """How many deliveries are sent again."""

    deliveries: int


class AttemptModel(Model):
    """One attempt: the status and the first bytes of the answer, and how long it took.

    Each replay begins another `round`, in which the attempts are counted from 1.
    """

    round: int
    attempt: int
    at: datetime
    status_code: int | None
    latency_ms: int | None
    error: str | None
    response_excerpt: str | None


class DeliveryModel(PersonalModel):
    """One event for one endpoint; `reason` says why it failed or, while it is pending, why it is held back.

    `block_unconfirmed`: the calendar may have a block of ours whose id we never received.
    """

    delivery_id: UUID
    event_id: UUID
    event_type: SentType
    endpoint_id: UUID
    appointment_id: UUID | None
    version: int
    status: Literal["pending", "delivered", "failed", "cancelled"]
    reason: str | None
    created_at: datetime
    finished_at: datetime | None
    next_attempt_at: datetime | None
    attempts: list[AttemptModel]


class DeliveryPage(Model):
    """A page of deliveries, the newest first."""

    data: list[DeliveryModel]
    next_cursor: str | None


class SourceModel(Model):
    """The source of signed events: requests go to `/api/webhooks/calendar?source=` and this id.

    `previous_secrets_until`: until when each earlier secret is valid too, the newest first.
    """

    source_id: UUID
    created_at: datetime
    updated_at: datetime
    previous_secret_until: datetime | None
    previous_secrets_until: list[datetime]


class SourceWithSecret(SourceModel):
    """A source with its new secret, which is returned only once: a replay has null."""

    secret: str | None
