"""The whole life of a connected calendar, and that nothing secret of it is left anywhere in the clear."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest

from background import store
from calendar_fetch.app import lambda_handler as fetch
from fairslot.calendars import access_tokens
from fairslot.calendars.access_tokens import SourceToken
from fairslot.calendars.interface import CalendarError
from fairslot.calendars.oauth import Grant, OAuth
from fairslot.calendars.renewed import renewed
from fairslot.messages.fetches import FetchRequest
from fairslot.platform import clock as system_clock
from fairslot.platform import signing_secrets
from fairslot.platform.db import Connection
from tests.support.connecting import (
    COACH,
    PUBLIC_URL,
    SECRET,
    Browser,
    Inside,
    header,
    make_link,
    serve_inside,
    title,
)
from tests.support.fixtures import Environment
from tests.support.google import GoogleStandIn, google
from tests.support.http import ask, body_of
from tests.support.lambda_context import context
from tests.support.queues import Queues, take_bodies
from tests.support.sqs_events import batch_event

ANA = "ana@example.com"
SOURCES = f"/api/coaches/{COACH}/sources"


class Life:
    """A team, Google's stand-in, and what has been said and stored about both."""

    def __init__(self, connection: Connection, inside: Inside, queues: Queues, fetched: str) -> None:
        self.connection, self.inside, self.queues, self.fetched = connection, inside, queues, fetched
        self.told: list[str] = []
        self.codes: list[str] = []

    def open(self, link: str) -> str:
        """Connect by a link; return the title of the page."""
        browser = Browser()
        at_google = httpx.get(header(browser.get(link), "location"), trust_env=False)
        assert at_google.status_code == 302, at_google.text
        back = at_google.headers["location"]
        self.codes.append(httpx.URL(back).params["code"])
        page = browser.get(back)
        self.told.append(page.body.decode())
        return title(page)

    def carry_out(self) -> int:
        """Do what is on the queues to the outside and back; return how many messages there were."""
        asked = take_bodies(self.queues.sqs, self.queues.urls["FETCHES_QUEUE_URL"])
        assert fetch(batch_event(*asked), context(60)) == {"batchItemFailures": []}
        answers = take_bodies(self.queues.sqs, self.fetched)
        if answers:
            assert store.lambda_handler(batch_event(*answers), context()) == {"batchItemFailures": []}
        self.told += asked + answers
        return len(asked)

    def read(self) -> dict[str, Any]:
        """Have the coach's calendar read; return how its source is."""
        self.connection.execute("UPDATE calendar_sources SET requested_at = NULL, next_at = 'epoch'")
        ask(
            "POST",
            "/api/webhooks/calendar",
            {"event_type": "coach.calendar_changed", "coach_id": COACH},
            headers={"X-Idempotency-Key": str(len(self.told))},
        )
        assert self.carry_out() == 1
        return self.source()

    def source(self) -> dict[str, Any]:
        """Return the one source, as it is shown."""
        listed = ask("GET", SOURCES)
        self.told.append(listed.body.decode())
        [shown] = body_of(listed)["data"]
        found: dict[str, Any] = shown
        return found

    def rows(self) -> str:
        """Return all that is stored."""
        tables = self.connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
        return "".join(
            str(row["text"])
            for table in tables
            for row in self.connection.execute(
                f"SELECT t::text AS text FROM {table['tablename']} AS t".encode()
            )
        )


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleStandIn]:
    """Google's stand-in, with one account."""
    with google(tmp_path_factory.mktemp("google")) as running:
        running.client.post("/control/accounts", json={"email": ANA})
        yield running


@pytest.fixture
def life(
    team: Connection,
    kms: None,
    environment: Environment,
    queues: Queues,
    provider: GoogleStandIn,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Life]:
    """The small team, today."""
    monkeypatch.setattr(system_clock, "now", lambda: datetime.now(UTC))
    address = str(provider.client.base_url).rstrip("/")
    fetched = queues.sqs.create_queue(QueueName=queues.urls["FETCHES_QUEUE_URL"].rpartition("/")[2] + "-back")
    access_tokens.clear_cache()
    with serve_inside() as inside:
        environment(
            **inside.environment,
            PUBLIC_URL=PUBLIC_URL,
            CONNECT_SECRETS=SECRET,
            GOOGLE_CLIENT_ID="our-client",
            GOOGLE_CLIENT_SECRET="our-client-secret",
            GOOGLE_ACCOUNTS_URL=address,
            GOOGLE_API_URL=f"{address}/calendar/v3",
            FETCHED_QUEUE_URL=fetched["QueueUrl"],
            WEBHOOK_ALLOW_LOOPBACK_HTTP="true",
        )
        yield Life(team, inside, queues, fetched["QueueUrl"])


def test_nothing_secret_is_left_anywhere(
    life: Life,
    provider: GoogleStandIn,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """After connecting, reading, refreshing, losing the grant, connecting again, and deleting.

    No log line, row, event, message or answer has a token, a code, or the link that was given to the coach.
    The link to connect again is in its event: with it a calendar is connected, and none is read.
    """
    caplog.set_level("DEBUG")
    made = make_link(writes=True)
    assert life.open(made["link"]) == "Your calendar is connected"
    first = provider.client.get("/control/tokens", params={"email": ANA}).json()
    assert life.carry_out() == 1
    assert life.source()["state"] == "ok"
    provider.client.post("/control/expire", json={"email": ANA})
    assert life.read()["state"] == "ok"

    provider.client.post("/control/revoke", json={"email": ANA})
    gone = life.read()
    assert (gone["state"], gone["error_code"]) == ("disconnected", "access_revoked")
    events = life.connection.execute(
        "SELECT details FROM changes WHERE type = 'calendar.disconnected'"
    ).fetchall()
    assert [one["details"]["reconnect_url"] for one in events] == [gone["reconnect"]]
    assert life.open(gone["reconnect"]) == "Your calendar is connected"
    assert title(Browser().get(gone["reconnect"])) == "This link was used already"
    assert life.carry_out() == 1
    again = life.source()
    assert (again["state"], again["reconnect"]) == ("ok", None)
    second = provider.client.get("/control/tokens", params={"email": ANA}).json()

    rows = life.rows()
    answer = ask("DELETE", f"{SOURCES}/{made['source_id']}")
    assert answer.status == 204
    assert life.carry_out() == 1
    assert not provider.client.get("/control/tokens", params={"email": ANA}).json()["access_tokens"]

    secrets = {
        *life.codes,
        made["link"].rpartition("/")[2],
        *(one["refresh_token"] for one in (first, second)),
        *first["access_tokens"],
        *second["access_tokens"],
        "our-client-secret",
    }
    assert len(secrets) >= 7
    # What the test itself asks for is logged by its own client.
    ours = [one for one in caplog.records if one.name == "fairslot"]
    logged = [f"{one.getMessage()} {vars(one)}" for one in ours]
    assert {"connecting", "calendar connected", "calendar not read", "grant revoked"} <= {
        one.message for one in ours
    }
    printed = "".join((*capsys.readouterr(), *logged))
    # What travels inside by invocation names the link, which is how the inside knows it; nothing keeps that.
    invoked = "".join(life.inside.seen).replace(made["link"].rpartition("/")[2], "")
    everything = "\n".join((printed, rows, life.rows(), invoked, *life.told))
    assert [one for one in secrets if one in everything] == []
    assert gone["reconnect"].rpartition("/")[2] not in printed


def test_a_grant_that_another_source_has_is_not_ended(life: Life, provider: GoogleStandIn) -> None:
    """A provider would end both."""
    made, other = make_link(writes=True), make_link("coach-02", writes=True)
    for one in (made, other):
        assert life.open(one["link"]) == "Your calendar is connected"
    life.carry_out()
    life.connection.execute("UPDATE calendar_sources SET username = 'ana@example.com'")
    assert ask("DELETE", f"{SOURCES}/{made['source_id']}").status == 204
    assert take_bodies(life.queues.sqs, life.queues.urls["FETCHES_QUEUE_URL"]) == []
    assert ask("DELETE", f"/api/coaches/coach-02/sources/{other['source_id']}").status == 204
    assert life.carry_out() == 1


def test_who_connected_what_is_in_the_audit(life: Life) -> None:
    """The link was made by a key, and the source connected by the link: never with what."""
    made = make_link(writes=True)
    life.open(made["link"])
    entries = body_of(ask("GET", "/api/audit"))["data"]
    connected, created = entries[:2]
    assert (connected["resource"], connected["action"]) == ("source", "connected")
    assert connected["resource_id"] == f"{COACH}/{made['source_id']}"
    assert connected["actor"] == {"kind": "link", "id": made["connection_id"], "issuer": None}
    assert (created["resource"], created["action"]) == ("connection", "created")
    assert "link" not in created["after"]


def test_what_a_provider_replaces_is_stored_once_a_day(life: Life) -> None:
    """Locked up as it came; another process then begins with it, and what is on its way stays good."""
    made = make_link(writes=True)
    life.open(made["link"])
    source_id = UUID(made["source_id"])

    def stored() -> str:
        row = life.connection.execute("SELECT credentials FROM calendar_sources").fetchone()
        assert row is not None
        return str(row["credentials"])

    def refresh_token() -> str:
        opened = signing_secrets.decrypt(stored(), signing_secrets.for_calendar(source_id))
        return str(httpx.Response(200, text=opened).json()["refresh_token"])

    async def replaced(_: str) -> Grant:
        return Grant(access_token="access", seconds=0, refresh_token="the next one")

    token = SourceToken(source_id=source_id, refresh_token=refresh_token(), refresh=replaced)
    asyncio.run(token.get())
    life.carry_out()
    assert refresh_token() == "the next one"
    request = FetchRequest(
        coach_id=COACH,
        kind="google",
        time_zone="UTC",
        first_slot=0,
        slot_count=1,
        requested_at="",
        source_id=source_id,
        credentials=stored(),
    )
    later = SourceToken(source_id=source_id, refresh_token="the next one", refresh=replaced)
    asyncio.run(later.get())
    assert asyncio.run(renewed(request)) is None


@pytest.mark.parametrize("error", ["timeout", "http_503", "invalid_body"])
def test_a_grant_that_cannot_be_ended_now_is_told_and_not_tried_for_ever(
    life: Life, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: str
) -> None:
    """The credentials are gone from here all the same."""
    made = make_link(writes=True)
    life.open(made["link"])
    life.carry_out()

    async def fail(self: OAuth, token: str) -> None:
        raise CalendarError(error)

    monkeypatch.setattr(OAuth, "revoke", fail)
    assert ask("DELETE", f"{SOURCES}/{made['source_id']}").status == 204
    assert life.carry_out() == 1
    [said] = [one for one in caplog.records if one.message == "grant revoked"]
    assert vars(said)["error"] == error
