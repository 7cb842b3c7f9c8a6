"""DeliveriesQueue: one delivery per message, written by the database, read by the dispatcher."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field, JsonValue, ValidationError

from fairslot.messages import contract
from fairslot.messages.contract import MessageError
from fairslot.messages.correlation import correlation_id


@dataclass(frozen=True, slots=True, kw_only=True)
class AppointmentData:
    """The data of an `appointment.*` event; instants are RFC 3339 text in UTC, passed on as they are."""

    appointment_id: str
    coach_id: str
    start_time: str
    end_time: str
    status: str
    version: int
    calendar_id: str | None = None
    contact_name: str | None = None
    contact_email: str | None = None
    timezone: str | None = None
    contact_id: str | None = None
    block_id: str | None = None
    action: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event for one endpoint; `kind` is `crm`, `calendar_api` or `standard`, other values are read too.

    Only `standard` has a URL, `headers` and `secrets`: ciphertexts, newest first, several during a rotation.
    `concurrency` and `rate_per_second` limit each dispatcher process. `revision` is the endpoint's when the
    message was made. `round` separates the first attempts from those of each replay. A requeued message also
    has the number of `attempts` made before it, and `since`: when the delivery was first received.
    """

    delivery_id: UUID
    event_id: UUID
    kind: str
    type: str
    timestamp: AwareDatetime
    version: int
    data: Mapping[str, JsonValue]
    url: str | None = None
    endpoint_id: UUID | None = None
    revision: int = 1
    round: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    concurrency: int | None = None
    rate_per_second: float | None = None
    attempts: Annotated[int, Field(ge=0)] = 0
    since: AwareDatetime | None = None

    @staticmethod
    def from_json(body: str) -> "Delivery":
        """Read a message's body. Raises MessageError."""
        return contract.read(Delivery, body)

    def to_json(self) -> str:
        """Write the message's body."""
        return contract.write(self)

    @property
    def correlation_id(self) -> str | None:
        """The id of the change that it tells of, None where that is none of an appointment."""
        return correlation_id(self.data, self.version)

    def appointment(self) -> AppointmentData:
        """Read `data` as an appointment's. Raises MessageError."""
        try:
            return contract.adapter(AppointmentData).validate_python(self.data)
        except ValidationError:
            raise MessageError from None
