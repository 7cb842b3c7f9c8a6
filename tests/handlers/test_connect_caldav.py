"""CalDAV calendars connected by a form, at a server that nobody here wrote."""

from collections.abc import Iterator

import pytest

from calendar_connect import by_password
from fairslot.platform.db import Connection
from local.gateway_payload import Response
from tests.support.caldav_servers import PASSWORD, USER, Radicale
from tests.support.connecting import (
    PUBLIC_URL,
    SECRET,
    Browser,
    Inside,
    header,
    hidden_field,
    make_link,
    serve_inside,
    title,
)
from tests.support.fixtures import Environment
from tests.support.queues import Queues
from tests.support.tables import one_row


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Radicale]:
    """Radicale, with one calendar."""
    with Radicale(tmp_path_factory.mktemp("radicale")) as radicale:
        radicale.make_calendar()
        yield radicale


@pytest.fixture
def inside(team: Connection, kms: None, environment: Environment, queues: Queues) -> Iterator[Inside]:
    """The function inside, and the settings of the one outside."""
    with serve_inside() as served:
        environment(
            **served.environment,
            PUBLIC_URL=PUBLIC_URL,
            CONNECT_SECRETS=SECRET,
            WEBHOOK_ALLOW_LOOPBACK_HTTP="true",
            CALENDAR_ATTEMPTS="1",
        )
        yield served


def fill_in(browser: Browser, link: str, form: Response, url: str, password: str = PASSWORD) -> Response:
    """Fill in the form and send it."""
    fields = {"form": hidden_field(form.body.decode()), "url": url, "username": USER, "password": password}
    return browser.post(link, fields)


def test_a_coach_connects_a_calendar(
    inside: Inside, server: Radicale, team: Connection, queues: Queues
) -> None:
    """The calendar is found before anything is stored, and then read at once; no password is shown."""
    made, browser = make_link(kind="caldav", writes=True), Browser()
    form = browser.get(made["link"])
    assert title(form) == "Connect your calendar"
    page = fill_in(browser, made["link"], form, server.url)
    assert title(page) == "Your calendar is connected"
    columns = "kind, url, username, writes, credentials, calendar_ref"
    statement = f"SELECT {columns} FROM calendar_sources WHERE source_id = %s"
    row = one_row(team, statement, (made["source_id"],))
    assert (row["kind"], row["username"], row["writes"]) == ("caldav", USER, True)
    assert row["url"] == server.url
    assert row["calendar_ref"] == f"{server.url}{USER}/calendar-1/"
    assert [one["credentials"] for one in queues.take("FETCHES")] == [row["credentials"]]
    assert PASSWORD not in page.body.decode() + str(row) + "".join(inside.seen)
    assert title(browser.get(made["link"])) == "This link was used already"


def test_a_wrong_password_is_said_and_the_link_stays_good(inside: Inside, server: Radicale) -> None:
    """As is an address that has no calendar, or leads inside; what was typed stays, but for the password."""
    made, browser = make_link(kind="caldav"), Browser()
    form = browser.get(made["link"])
    again = fill_in(browser, made["link"], form, server.url, "not <the> password")
    assert again.status == 422
    text = again.body.decode()
    assert "refused the user name or the password" in text
    assert "not &lt;the&gt; password" not in text
    assert f'value="{server.url}"' in text
    for url, said in (
        ("https://10.0.0.1/", "no public server"),
        ("https://127.0.0.1/", "no public server"),
        ("ftp://example.com", "no address of a server"),
        ("", "Fill in all three"),
    ):
        again = fill_in(browser, made["link"], again, url)
        assert (again.status, said in again.body.decode()) == (422, True), (url, again.body)
    assert title(fill_in(browser, made["link"], again, server.url)) == "Your calendar is connected"


def test_a_form_is_for_the_browser_that_it_was_shown_to(inside: Inside, server: Radicale) -> None:
    """Another site's form has no cookie, or not this form's: it connects nothing, and no server is asked."""
    made, browser = make_link(kind="caldav"), Browser()
    form = browser.get(made["link"])
    other = Browser()
    assert title(fill_in(other, made["link"], form, server.url)) == "That took too long, or began elsewhere"
    other.get(make_link(kind="caldav")["link"])
    assert title(fill_in(other, made["link"], form, server.url)) == "That took too long, or began elsewhere"
    foreign = make_link(kind="caldav")["link"]
    assert title(fill_in(browser, foreign, form, server.url)) == "That took too long, or began elsewhere"
    assert browser.post(made["link"], {"url": server.url}).status == 400
    assert title(fill_in(browser, made["link"], form, server.url)) == "Your calendar is connected"


def test_another_user_does_not_take_the_place_of_a_calendar(inside: Inside, server: Radicale) -> None:
    """To connect again is for the same account."""
    made, browser = make_link(kind="caldav"), Browser()
    fill_in(browser, made["link"], browser.get(made["link"]), server.url)
    again = make_link(kind="caldav", source_id=made["source_id"])
    form = browser.get(again["link"])
    assert f'value="{USER}"' in form.body.decode()
    fields = {
        "form": hidden_field(form.body.decode()),
        "url": server.url,
        "username": "somebody",
        "password": "else",
    }
    assert title(browser.post(again["link"], fields)) == "This is another account"
    assert title(fill_in(browser, again["link"], form, server.url)) == "Your calendar is connected"


def test_a_form_that_is_too_large_is_none(inside: Inside) -> None:
    """Nothing of it is read."""
    made, browser = make_link(kind="caldav"), Browser()
    form = hidden_field(browser.get(made["link"]).body.decode())
    assert browser.post(made["link"], {"form": form, "url": "x" * 20_000}).status == 400


def test_a_page_that_cannot_be_made_says_so(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was raised: its text can quote a password."""
    made = make_link(kind="caldav")

    def fail(_: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(by_password, "begin", fail)
    page = Browser().get(made["link"])
    assert (page.status, title(page)) == (503, "Please try again in a minute")
    assert header(page, "content-type").startswith("text/html")
