"""The requests to the two partners of a deployment, and what is kept of their responses."""

from urllib.parse import quote

from fairslot.dispatch.blocks import Blocks
from fairslot.dispatch.request import Request
from fairslot.messages.deliveries import AppointmentData, Delivery
from fairslot.platform.settings import settings


def crm(delivery: Delivery) -> Request | None:
    """Post an appointment's event to one of the CRM's three paths; other events are not sent."""
    if not delivery.type.startswith("appointment."):
        return None
    appointment = delivery.appointment()
    path = CRM_PATHS.get(delivery.type, "appointment-updated")
    people = ("contact_name", "contact_email") if path == "appointment-created" else ()
    members = {name: getattr(appointment, name) for name in (*CRM_MEMBERS, *people)}
    webhooks = f"{settings().crm_webhook_url.rstrip('/')}/webhooks"
    return Request(
        url=f"{webhooks}/{path}",
        body={name: value for name, value in members.items() if value is not None},
        is_personal=any(members.get(name) for name in people),
        keep={"crm_id": ("crm_id", "contact_id")},
        # A repeated key is acknowledged without the id, which only the first response had.
        log=f"{webhooks}/log?limit={LOG_LINES}" if path == "appointment-created" else None,
    )


# Lines of the CRM's log to read: the first attempt may be a while ago.
LOG_LINES = 1_000
CRM_PATHS = {"appointment.created": "appointment-created", "appointment.cancelled": "appointment-cancelled"}
CRM_MEMBERS = (
    "appointment_id",
    "calendar_id",
    "coach_id",
    "start_time",
    "end_time",
    "status",
    "version",
    "contact_id",
)


def calendar_api(delivery: Delivery) -> Request | None:
    """Block an appointment's time in the coach's calendar, release a block, or look one up, by `action`."""
    appointment = delivery.appointment()
    match appointment.action:
        case "block":
            return Request(
                url=_coach_url(appointment, "block-slot"),
                body={"start_time": appointment.start_time, "end_time": appointment.end_time},
                keep={"block_id": ("block_id",)},
                refusals={409: "already_blocked"},
                blocks=_blocks(appointment),
            )
        case "find":
            listed = _blocks(appointment)
            return Request(url=listed.url, body={}, blocks=listed, lookup_only=True)
        case "release" if appointment.block_id is not None:
            return Request(
                url=_coach_url(appointment, "release-slot"), body={"block_id": appointment.block_id}
            )
        case _:
            return None


def _blocks(appointment: AppointmentData) -> Blocks:
    return Blocks(
        partner=settings().calendar_api_url,
        url=_coach_url(appointment, "blocks"),
        start_time=appointment.start_time,
        end_time=appointment.end_time,
    )


def _coach_url(appointment: AppointmentData, action: str) -> str:
    return (
        f"{settings().calendar_api_url.rstrip('/')}/coaches/{quote(appointment.coach_id, safe='')}/{action}"
    )
