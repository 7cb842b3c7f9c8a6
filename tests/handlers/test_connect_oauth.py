"""Calendars connected at Google and Microsoft, by OAuth servers that nobody here wrote."""

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest

from fairslot.calendars import oauth, providers
from fairslot.calendars.interface import CalendarError
from fairslot.calendars.oauth import GOOGLE_EVENTS
from fairslot.platform import signing_secrets
from fairslot.platform.db import Connection
from tests.support.clock import NOW
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
from tests.support.fixtures import Clock, Environment
from tests.support.http import ask, check_problem
from tests.support.oauth_servers import ANA, BEN, CLIENT_ID, CLIENT_SECRET, OAuthServer
from tests.support.queues import Queues
from tests.support.readings import store_reading
from tests.support.tables import count, one_row, set_columns

CALLBACK = f"{PUBLIC_URL}/connect/callback"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, OAuthServer]]:
    """Google's OAuth server and Microsoft's."""
    folder = tmp_path_factory.mktemp("oauth")
    with (
        OAuthServer("google", folder, CALLBACK) as google,
        OAuthServer("microsoft", folder, CALLBACK) as other,
    ):
        yield {"google": google, "microsoft": other}


@dataclass(frozen=True)
class World:
    """A team whose coaches connect calendars."""

    connection: Connection
    servers: dict[str, OAuthServer]
    inside: Inside
    queues: Queues

    def connect(
        self, link: str, user: str = ANA, *, kind: str = "google", browser: Browser | None = None
    ) -> str:
        """Connect by a link; return the title of the last page."""
        browser = browser or Browser()
        sent = browser.get(link)
        back = self.servers[kind].consent(header(sent, "location"), user)
        return title(browser.get(back))

    def source(self, source_id: str) -> dict[str, Any]:
        """Return a source's row."""
        columns = "kind, coach_id, username, reads, writes, synced_at, generation, ended, credentials"
        statement = f"SELECT {columns} FROM calendar_sources WHERE source_id = %s"
        return one_row(self.connection, statement, (source_id,))

    def credentials(self, source_id: str) -> dict[str, Any]:
        """Return what a source is read with, as a function outside opens it."""
        context = signing_secrets.for_calendar(UUID(source_id))
        opened: dict[str, Any] = json.loads(
            signing_secrets.decrypt(self.source(source_id)["credentials"], context)
        )
        return opened


@pytest.fixture
def world(
    team: Connection,
    kms: None,
    environment: Environment,
    queues: Queues,
    servers: dict[str, OAuthServer],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    """The small team, with both providers."""
    monkeypatch.setattr(providers, "provider_of", lambda kind: servers[kind].provider)
    with serve_inside() as inside:
        environment(
            **inside.environment,
            PUBLIC_URL=PUBLIC_URL,
            CONNECT_SECRETS=SECRET,
            GOOGLE_CLIENT_ID=CLIENT_ID,
            GOOGLE_CLIENT_SECRET=CLIENT_SECRET,
            MICROSOFT_CLIENT_ID=CLIENT_ID,
            MICROSOFT_CLIENT_SECRET=CLIENT_SECRET,
            WEBHOOK_ALLOW_LOOPBACK_HTTP="true",
        )
        yield World(team, servers, inside, queues)


@pytest.mark.parametrize("kind", ["google", "microsoft"])
def test_a_coach_connects_a_calendar(world: World, kind: str) -> None:
    """By the link, the provider's page and back: then the source is there, and is read at once."""
    made = make_link(kind=kind, writes=True)
    assert made["expires_at"] == (NOW + timedelta(days=7)).isoformat().replace("+00:00", "Z")
    assert world.connect(made["link"], kind=kind) == "Your calendar is connected"
    source = world.source(made["source_id"])
    assert (source["kind"], source["coach_id"], source["username"]) == (kind, COACH, ANA)
    assert (source["reads"], source["writes"], source["synced_at"]) == (True, True, None)
    opened = world.credentials(made["source_id"])
    client = providers.oauth_of(kind)
    assert client.missing(providers.calendar_scopes(kind, writes=True), opened["scopes"]) == frozenset()
    granted = asyncio.run(client.refresh(opened["refresh_token"]))
    assert granted.access_token
    [asked] = world.queues.take("FETCHES")
    assert (asked["source_id"], asked["credentials"]) == (made["source_id"], source["credentials"])


def test_a_grant_that_is_no_longer_valid_is_final(world: World) -> None:
    """The provider says invalid_grant, once it was revoked: no other error ends a source."""
    made = make_link(writes=True)
    world.connect(made["link"])
    token = world.credentials(made["source_id"])["refresh_token"]
    client = providers.oauth_of("google")
    asyncio.run(client.revoke(token))
    with pytest.raises(CalendarError) as caught:
        asyncio.run(client.refresh(token))
    assert (caught.value.reason, caught.value.ended) == ("access_revoked", "disconnected")


def test_what_is_only_read_asks_for_less(world: World) -> None:
    """No right to change events, and none to see them, where free and busy times will do."""
    sent = header(Browser().get(make_link()["link"]), "location")
    query = parse_qs(urlsplit(sent).query)
    assert {*query["scope"][0].split()} == {
        "https://www.googleapis.com/auth/calendar.freebusy",
        "openid",
        "email",
    }
    assert (query["code_challenge_method"], query["redirect_uri"]) == (["S256"], [CALLBACK])
    assert (query["access_type"], query["prompt"]) == (["offline"], ["consent"])


def test_opening_a_link_changes_nothing(world: World) -> None:
    """Programs that scan mail open it first, and more than once."""
    made = make_link()
    for _ in range(3):
        assert Browser().get(made["link"]).status == 303
    assert world.connect(made["link"]) == "Your calendar is connected"


def test_a_link_works_once(world: World) -> None:
    """Who opens it again is told, and so is who was at the provider meanwhile; nothing is changed."""
    made = make_link()
    late = Browser()
    back = world.servers["google"].consent(header(late.get(made["link"]), "location"), BEN)
    world.connect(made["link"])
    before = world.source(made["source_id"])
    again = Browser().get(made["link"])
    assert (again.status, title(again)) == (410, "This link was used already")
    assert title(late.get(back)) == "This link was used already"
    assert world.source(made["source_id"]) == before


def test_of_two_at_the_same_time_one_connects(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both were told that the link is good: the database lets one of them use it."""
    made = make_link()
    first, second = Browser(), Browser()
    backs = [
        world.servers["google"].consent(header(one.get(made["link"]), "location"), user)
        for one, user in ((first, ANA), (second, BEN))
    ]
    exchange = oauth.OAuth.exchange

    async def overtaken(self: oauth.OAuth, **given: Any) -> oauth.Grant:
        monkeypatch.setattr(oauth.OAuth, "exchange", exchange)
        granted = await exchange(self, **given)
        await asyncio.to_thread(second.get, backs[1])
        return granted

    monkeypatch.setattr(oauth.OAuth, "exchange", overtaken)
    assert title(first.get(backs[0])) == "This link was used already"
    assert world.source(made["source_id"])["username"] == BEN


def test_the_way_back_is_for_the_browser_that_began(world: World) -> None:
    """Who is lured to somebody else's way back does not connect that one's account."""
    made = make_link()
    attacker = Browser()
    back = world.servers["google"].consent(header(attacker.get(made["link"]), "location"), BEN)
    victim = Browser()
    assert title(victim.get(back)) == "That took too long, or began elsewhere"
    victim.get(make_link()["link"])
    assert title(victim.get(back)) == "That took too long, or began elsewhere"
    assert victim.get(f"{CALLBACK}?code=x&state=made-up").status == 400
    assert title(attacker.get(back)) == "Your calendar is connected"


def test_the_way_back_is_open_for_ten_minutes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the cookie says."""
    browser = Browser()
    back = world.servers["google"].consent(header(browser.get(make_link()["link"]), "location"), ANA)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 601)
    assert title(browser.get(back)) == "That took too long, or began elsewhere"


def test_the_cookie_is_for_this_host_alone(world: World, environment: Environment) -> None:
    """It goes over TLS, to no script, and not with other sites' forms; on one machine without TLS."""
    browser = Browser()
    browser.get(make_link()["link"])
    name, _, rest = browser.set_cookie.partition("=")
    assert name == "__Host-fairslot-connect"
    assert {*rest.split("; ")[1:]} == {"Path=/", "Max-Age=600", "HttpOnly", "SameSite=Lax", "Secure"}
    environment(PUBLIC_URL="http://127.0.0.1:3000")
    browser.get(make_link()["link"])
    assert browser.set_cookie.startswith("fairslot-connect=")
    assert "Secure" not in browser.set_cookie


def test_what_was_unticked_is_noticed(world: World) -> None:
    """The page says what is missing, and the link stays good."""
    made = make_link(writes=True)
    browser = Browser()
    less = " ".join({*GOOGLE_EVENTS} - {"https://www.googleapis.com/auth/calendar.events"})
    sent = header(browser.get(made["link"]), "location")
    page = browser.get(world.servers["google"].consent(sent, ANA, scope=f"{less} openid email"))
    assert title(page) == "Some permissions are missing"
    assert "see and change events." in page.body.decode()
    assert world.connect(made["link"]) == "Your calendar is connected"


def test_who_refuses_is_told_that_nothing_was_connected(world: World) -> None:
    """As is who comes back with any other error; the link stays good."""
    made = make_link()
    browser = Browser()
    state = parse_qs(urlsplit(header(browser.get(made["link"]), "location")).query)["state"][0]
    assert title(browser.get(f"{CALLBACK}?error=access_denied&state={state}")) == "Nothing was connected"
    assert title(browser.get(f"{CALLBACK}?error=server_error&state={state}")) == "That did not work"
    assert title(browser.get(f"{CALLBACK}?code=wrong&state={state}")) == "That did not work"
    assert world.connect(made["link"]) == "Your calendar is connected"


def test_a_link_expires(world: World, clock: Clock) -> None:
    """After seven days, and not before."""
    made = make_link()
    clock(NOW + timedelta(days=7) - timedelta(seconds=1))
    assert Browser().get(made["link"]).status == 303
    clock(NOW + timedelta(days=7))
    late = Browser().get(made["link"])
    assert (late.status, title(late)) == (410, "This link has expired")


def test_a_source_is_connected_again(world: World) -> None:
    """With the same account it keeps what it is, and what is on its way no longer counts."""
    made = make_link(writes=True)
    world.connect(made["link"])
    again = make_link(writes=True, source_id=made["source_id"])
    assert again["source_id"] == made["source_id"]
    assert world.connect(again["link"], BEN) == "This is another account"
    assert world.source(made["source_id"])["generation"] == 1
    assert world.connect(again["link"]) == "Your calendar is connected"
    assert world.source(made["source_id"])["generation"] == 2


def test_what_was_not_read_for_a_while_does_not_count(world: World) -> None:
    """Connected again to be read, a source that was only written is as one that was never read."""
    made = make_link(writes=True)
    world.connect(made["link"])
    known = {"source_id": made["source_id"]}
    store_reading(world.connection, NOW, coach_id=COACH, generation=1, **known)
    assert world.source(made["source_id"])["synced_at"] == NOW
    set_columns(world.connection, "calendar_sources", known, {"reads": False})
    again = make_link(writes=True, **known)
    assert world.connect(again["link"]) == "Your calendar is connected"
    assert world.source(made["source_id"])["synced_at"] is None
    assert count(world.connection, "source_answers") == 0


def test_a_link_is_for_a_coach_and_a_source_that_are_there(world: World) -> None:
    """Of this tenant and of that kind; and for a provider that knows the deployment."""
    path = "/api/coaches/{}/calendar-connections"
    check_problem(ask("POST", path.format("nobody"), {"kind": "google"}), 404, "NOT_FOUND")
    made = make_link()
    world.connect(made["link"])
    for coach, kind in (("coach-02", "google"), (COACH, "microsoft")):
        body = {"kind": kind, "source_id": made["source_id"]}
        check_problem(ask("POST", path.format(coach), body), 404, "NOT_FOUND")


def test_a_provider_that_is_not_set_up_gets_no_link(world: World, environment: Environment) -> None:
    """The operator is told, and not the coach."""
    environment(GOOGLE_CLIENT_ID="")
    answer = ask("POST", "/api/coaches/coach-01/calendar-connections", {"kind": "google"})
    check_problem(answer, 422, "VALIDATION_ERROR", place=("body.kind", "not_set_up"))


def test_a_link_that_was_not_made_here_costs_the_inside_nothing(world: World) -> None:
    """It is refused outside, whatever it is; so is one that came beside CloudFront."""
    made = make_link()
    token = made["link"].rpartition("/")[2]
    for forged in ("x", token[:-1], token[:-1] + ("A" if token[-1] != "A" else "B"), "a" * 5000, token + "="):
        page = Browser().get(f"{PUBLIC_URL}/connect/{forged}")
        assert (page.status, title(page)) == (404, "This link is not valid")
    assert world.inside.asked == 0


def test_a_page_says_so_when_the_inside_does_not_answer(world: World) -> None:
    """The link stays good."""
    made = make_link()
    world.inside.broken = True
    page = Browser().get(made["link"])
    assert (page.status, title(page)) == (503, "Please try again in a minute")
    assert header(page, "retry-after")
    world.inside.broken = False
    assert world.connect(made["link"]) == "Your calendar is connected"


def test_a_page_runs_nothing_and_is_kept_by_nobody(world: World) -> None:
    """No script, no frame, no other origin, no copy, and no address of it anywhere else."""
    page = Browser().get(f"{PUBLIC_URL}/connect/x")
    policy = header(page, "content-security-policy")
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "frame-ancestors 'none'" in policy
    assert "<script" not in page.body.decode()
    assert header(page, "cache-control") == "no-store"
    assert header(page, "referrer-policy") == "no-referrer"
