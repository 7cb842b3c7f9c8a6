"""What makes a function use each of its rights."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit
from uuid import uuid4

import httpx

from fairslot.booking import appointments
from fairslot.calendars.push_secret import Channel, PushSecrets
from fairslot.domain.idempotency import NO_KEY
from tests.deploy.roles import Right
from tests.deploy.world import CALENDAR, World, wait_for
from tests.support.caldav_servers import PASSWORD, USER, Radicale
from tests.support.cloudformation import functions, shared_policies
from tests.support.connecting import hidden_field
from tests.support.http import booking_body
from tests.support.inbound_events import receive_event
from tests.support.team import TENANT

type Act = Callable[[World], object]


def first_page(world: World) -> None:
    """Ask for a calendar that was never read."""
    world.free(world.external_coach())


def calendar_event(world: World) -> None:
    """Have a coach's calendar change."""
    assert world.tell(world.external_coach()).status_code == 200


def signed_event(world: World) -> None:
    """Have it said by somebody who signs, with a secret that no process has opened yet."""
    source = world.ask("POST", "/api/webhooks/calendar/secret", {"overlap_hours": 0})
    world.tell(world.external_coach(), source)


def test_event(world: World) -> None:
    """Send an endpoint a test event."""
    endpoint = world.subscribe("ok")
    world.ask("POST", f"/api/webhook-endpoints/{endpoint}/test")


def asked_again(world: World) -> None:
    """Book where the chosen coach's calendar is asked once more; without the right nobody is booked."""
    coach = world.external_coach()
    starts = wait_for(lambda: world.free(coach), "there are bookable starts")
    world.database.execute(
        "UPDATE calendar_sources SET synced_at = synced_at - interval '1 minute' WHERE coach_id = %s",
        (coach,),
    )
    world.ask("PATCH", f"/api/calendars/{coach}", {"on_unverified": "recheck"})
    world.api.post("/api/appointments", json=booking_body(starts[0], calendar_id=coach))


def absence_ends(world: World) -> None:
    """Delete an absence of a coach with an external calendar."""
    coach, start = world.external_coach(), datetime.now(UTC) + timedelta(days=9)
    times = {"start": start.isoformat(), "end": (start + timedelta(hours=1)).isoformat()}
    absence = world.ask("POST", f"/api/coaches/{coach}/absences", times, status=201)["absence_id"]
    world.ask("DELETE", f"/api/coaches/{coach}/absences/{absence}", status=204)


def new_endpoint(world: World) -> None:
    """Make an endpoint: it needs a secret, and without the right there is none."""
    body = {"url": f"{world.others.url}/ok/never", "event_types": ["appointment.*"]}
    assert world.api.post("/api/webhook-endpoints", json=body).status_code == 503


def booking_for(behaviour: str) -> Act:
    """Return the act of booking while there is a subscriber of a behaviour."""

    def act(world: World) -> None:
        world.subscribe(behaviour)
        world.book()

    return act


def held_back(world: World) -> None:
    """Have more for a subscriber than it takes in a minute."""
    world.subscribe("ok", rate_per_second=0.02)
    for _ in range(4):
        world.book()


def blocked_and_cancelled(world: World) -> None:
    """Cancel what is blocked in an external calendar: it has to be read again."""
    coach = world.external_coach()
    booked = world.book(coach)
    wait_for(lambda: world.blocks(coach), "the partner's calendar has the block")
    world.ask("POST", f"/api/appointments/{booked}/cancel")


def gone_for_good(world: World) -> None:
    """Have a subscriber be gone for good, and another one who wants to know that."""
    world.subscribe("ok", "endpoint.*")
    booking_for("gone")(world)


def moved_while_it_waits(world: World) -> None:
    """Change the address of an endpoint that is tried again and again."""
    endpoint = world.subscribe("error")
    world.book()
    body = {"url": f"{world.others.url}/error/moved"}
    world.ask("PATCH", f"/api/webhook-endpoints/{endpoint}", body)


def left_to_the_sweep(world: World) -> None:
    """Leave a booking to the sweep, as a function does that dies after its commit."""
    contact = appointments.Contact(name="Kim", email="kim@example.com")
    appointments.book(
        world.database,
        tenant_id=TENANT,
        calendar_id=CALENDAR,
        start_time=datetime.fromisoformat(world.free()[0]),
        contact=contact,
        metadata={},
        key=NO_KEY,
        now=datetime.now(UTC),
    )
    run("OutboxFunction", "outbox")(world)


def left_event(world: World) -> None:
    """Leave an event about an external calendar to the sweep."""
    coach, received = world.external_coach(), datetime.now(UTC) - timedelta(minutes=1)
    receive_event(world.database, coach_id=coach, key=str(uuid4()), now=received)
    run("OutboxFunction", "outbox")(world)


def notification(world: World) -> None:
    """Tell of a change as Google does, of a channel that nobody knows."""
    secrets = world.deployment.account.client("secretsmanager")
    secret = secrets.get_secret_value(SecretId=world.deployment.id_of("PushSecret"))["SecretString"]
    token = PushSecrets([secret]).make(Channel(provider="google", source_id=uuid4(), generation=1))
    headers = {"X-Goog-Channel-Token": token, "X-Goog-Resource-State": "exists"}
    assert world.api.post("/calendar-push/google", headers=headers).status_code in {202, 503}


def dead_letters(world: World) -> None:
    """Have a dead letter that belongs to no delivery, and one whose delivery was delivered."""
    world.book()
    delivery = wait_for(lambda: delivered(world), "a delivery is done")
    queue, sqs = world.deployment.id_of("DeliveriesDeadLetterQueue"), world.deployment.account.client("sqs")
    for body in ("no message of ours", json.dumps({"delivery_id": delivery})):
        sqs.send_message(QueueUrl=queue, MessageBody=body)
    run("DeadLettersFunction", "dead_letters")(world)


def delivered(world: World) -> str | None:
    """Return a delivery that is done."""
    page = world.ask("GET", "/api/deliveries", params={"status": "delivered", "limit": 1})["data"]
    return page[0]["delivery_id"] if page else None


def redriven(world: World) -> None:
    """Send a dead letter again."""
    before = world.count("DeliveriesDeadLetterQueue")
    booking_for("error")(world)
    wait_for(lambda: world.count("DeliveriesDeadLetterQueue") > before, "the delivery is a dead letter")
    run("DeadLettersFunction", "redrive")(world)


def locked_calendar(world: World) -> None:
    """Have a calendar read whose password was never opened."""
    world.caldav_coach()
    run("SyncFunction")(world)


def opened_link(world: World) -> tuple[str, httpx.Response]:
    """Open a link to connect a calendar; return its path and the page, which may say that it cannot be."""
    asked = {"kind": "caldav"}
    path = f"/api/coaches/{world.external_coach()}/calendar-connections"
    # Where connections were ended, one that reads is made anew; a change is not made twice.
    world.ask("GET", "/api/coaches")
    link = urlsplit(world.ask("POST", path, asked, status=201)["link"]).path
    return link, world.api.get(link)


def connected(world: World) -> None:
    """Connect a calendar by its password, at a server of this machine; what is denied ends on a page."""
    with TemporaryDirectory() as folder, Radicale(Path(folder)) as server:
        server.make_calendar()
        link, page = opened_link(world)
        if page.status_code == HTTPStatus.OK:
            form = {
                "form": hidden_field(page.text),
                "url": server.url,
                "username": USER,
                "password": PASSWORD,
            }
            cookie = page.headers["set-cookie"].partition(";")[0]
            world.api.post(link, data=form, headers={"Cookie": cookie})


def due(world: World) -> None:
    """Have a calendar that is due."""
    world.external_coach()
    run("SyncFunction")(world)


def run(function: str, task: str = "") -> Act:
    """Return the act of invoking a function as its schedule does; it may fail for what it is denied."""
    event = json.dumps({"task": task}).encode()
    return lambda world: world.deployment.try_invoke(function, event)


def migrate(world: World) -> None:
    """Have the database migrated; nobody is at the address that the answer goes to."""
    names = ("StackId", "RequestId", "LogicalResourceId")
    event = {"RequestType": "Update", "ResponseURL": "http://127.0.0.1:1/"} | dict.fromkeys(names, "x")
    world.deployment.try_invoke("MigrateFunction", json.dumps(event).encode())


def listed(path: str) -> Act:
    """Return the act of reading a list, which may be refused."""
    return lambda world: world.api.get(path)


def anew(act: Act) -> Act:
    """Return an act that finds no connection to the data."""

    def connecting(world: World) -> None:
        world.hang_up()
        act(world)

    return connecting


SEND, CONNECT, CACHE = "sqs:SendMessage", "rds-db:connect", "elasticache:Connect"
# How each function inside comes to its data.
USES: dict[str, Act] = {
    "AvailabilityFunction": listed(f"/api/availability?calendar_id={CALENDAR}"),
    "BookingFunction": listed("/api/appointments"),
    "AdminFunction": listed("/api/coaches"),
    "ResultsFunction": World.book,
    "PermitsFunction": World.book,
    "ConnectionsFunction": opened_link,
    "StoreFunction": calendar_event,
    "SyncFunction": run("SyncFunction"),
    "OutboxFunction": run("OutboxFunction", "outbox"),
    "SlotsFunction": run("SlotsFunction", "slots"),
    "DeadLettersFunction": dead_letters,
    "FirstKeyFunction": run("FirstKeyFunction"),
}
# Who asks whether a client may go on.
LIMITING = ("AvailabilityFunction", "BookingFunction", "AdminFunction")
CACHES = ("ValkeyCache", "CacheUser")


def to_the_cache(on: str) -> dict[Right, Act]:
    """Return the acts of those who ask, for one of the rights that the cache asks for."""
    return {Right(name, CACHE, on): anew(USES[name]) for name in LIMITING}


# The others have it by the policy that all inside share, and use the cache for nothing.
UNUSED = {
    Right(name, CACHE, on)
    for name, one in functions().items()
    if "DataAccess" in shared_policies(one) and name not in LIMITING
    for on in CACHES
}
# Nothing that the template's functions find on this machine replaces a token.
UNUSED.add(Right("FetchFunction", "kms:Encrypt", "WebhookKey"))
ACTS: dict[Right, Act] = {
    # Who was denied leaves the cache alone for a second: the other right comes long after this one.
    **to_the_cache(CACHES[0]),
    Right("AvailabilityFunction", SEND, "FetchesQueue"): first_page,
    Right("BookingFunction", SEND, "DeliveriesQueue"): World.book,
    Right("BookingFunction", SEND, "FetchesQueue"): calendar_event,
    Right("BookingFunction", "kms:Decrypt", "WebhookKey"): signed_event,
    Right("BookingFunction", "lambda:InvokeFunction", "FetchFunction"): asked_again,
    Right("AdminFunction", SEND, "DeliveriesQueue"): test_event,
    Right("AdminFunction", SEND, "FetchesQueue"): absence_ends,
    Right("AdminFunction", "kms:Encrypt", "WebhookKey"): new_endpoint,
    Right("ResultsFunction", SEND, "DeliveriesQueue"): gone_for_good,
    Right("ResultsFunction", SEND, "FetchesQueue"): blocked_and_cancelled,
    Right("ResultsFunction", "sqs:DeleteMessage", "DeliveriesQueue"): moved_while_it_waits,
    Right("SyncFunction", SEND, "FetchesQueue"): due,
    Right("OutboxFunction", SEND, "DeliveriesQueue"): left_to_the_sweep,
    Right("OutboxFunction", SEND, "FetchesQueue"): left_event,
    Right("DeadLettersFunction", SEND, "DeliveriesQueue"): redriven,
    **{
        Right("DeadLettersFunction", f"sqs:{action}", "DeliveriesDeadLetterQueue"): dead_letters
        for action in ("ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes")
    },
    Right("FetchFunction", SEND, "FetchedQueue"): first_page,
    Right("FetchFunction", "kms:Decrypt", "WebhookKey"): locked_calendar,
    Right("ConnectFunction", "lambda:InvokeFunction", "ConnectionsFunction"): opened_link,
    Right("ConnectFunction", "kms:Encrypt", "WebhookKey"): connected,
    Right("ConnectionsFunction", SEND, "FetchesQueue"): connected,
    Right("PushFunction", SEND, "ResultsQueue"): notification,
    Right("DispatchFunction", SEND, "ResultsQueue"): World.book,
    Right("DispatchFunction", SEND, "DeliveriesQueue"): held_back,
    Right("DispatchFunction", SEND, "DeliveriesDeadLetterQueue"): booking_for("error"),
    Right("DispatchFunction", "sqs:ChangeMessageVisibility", "DeliveriesQueue"): booking_for("error"),
    Right("DispatchFunction", "kms:Decrypt", "WebhookKey"): booking_for("ok"),
    Right("DispatchFunction", "lambda:InvokeFunction", "PermitsFunction"): World.book,
    Right("MigrateFunction", CONNECT, "fairslot"): migrate,
    **{Right(name, CONNECT, "fairslot_app"): anew(act) for name, act in USES.items()},
    **to_the_cache(CACHES[1]),
}
