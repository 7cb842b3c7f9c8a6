"""The CalDAV server of the local stack, and the demo coach whose calendar is there."""

from contextlib import ExitStack
from pathlib import Path

import httpx

from fairslot.platform.db import Connection
from local.calendar_standins import STANDINS, DemoCoach
from local.demo_calendars import make
from local.processes import free_port
from local.radicale import PASSWORD, USER, Radicale
from local.sqs import SqsStandIn
from tests.support.deliveries import KMS_KEY
from tests.support.fixtures import Environment

_NOTE = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//A client//EN\r\nBEGIN:VEVENT\r\nUID:one\r\n"
    "DTSTAMP:20270301T000000Z\r\nDTSTART:20270310T090000Z\r\nDTEND:20270310T100000Z\r\nSUMMARY:One\r\n"
    "END:VEVENT\r\nEND:VCALENDAR\r\n"
)


def test_servers_of_two_stacks_are_apart(tmp_path: Path) -> None:
    """The second finds the port taken and listens at another; each has the coach's calendar, and ends."""
    wanted = free_port()
    with ExitStack() as ends:
        one, two = (
            ends.enter_context(Radicale(wanted, tmp_path / name, tmp_path / name / "logs"))
            for name in ("one", "two")
        )
        assert one.port == wanted != two.port
        calendars = [_coach(server).calendar_ref for server in (one, two)]
        assert _ask("PUT", f"{calendars[0]}one.ics", content=_NOTE) == 201
        assert [_ask("GET", f"{calendar}one.ics") for calendar in calendars] == [200, 404]
        pids = [server.pid for server in (one, two)]
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_a_server_that_starts_again_has_kept_its_calendar(tmp_path: Path) -> None:
    """Making the demo coach again changes nothing in it."""
    server = Radicale(free_port(), tmp_path, tmp_path / "logs")
    with server:
        assert _ask("PUT", f"{_coach(server).calendar_ref}one.ics", content=_NOTE) == 201
    with server:
        assert _ask("GET", f"{_coach(server).calendar_ref}one.ics") == 200


def test_a_demo_coach_is_told_where_the_calendar_is_now(
    connection: Connection, environment: Environment, sqs: SqsStandIn
) -> None:
    """The source is the same; where the port is the same too nothing is changed."""
    environment(**sqs.environment, WEBHOOK_KMS_KEY_ID=KMS_KEY)
    coach = {
        "coach_id": "coach-caldav",
        "name": "Carla",
        "kind": "caldav",
        "username": USER,
        "credentials": {"username": USER, "password": PASSWORD},
    }

    def stored(port: int) -> dict[str, object]:
        at = {"url": f"http://127.0.0.1:{port}/", "calendar_ref": f"http://127.0.0.1:{port}/{USER}/calendar/"}
        make(connection, [coach | at])
        (row,) = connection.execute("SELECT *, xmin::text FROM calendar_sources").fetchall()
        assert {name: row[name] for name in at} == at
        return row

    first, second, third = stored(3005), stored(20_000), stored(20_000)
    assert second == third != first
    assert [row["source_id"] for row in (second, third)] == [first["source_id"]] * 2
    assert first["credentials"] == third["credentials"]


def _coach(server: Radicale) -> DemoCoach:
    return STANDINS["caldav"].coach(server.url)


def _ask(method: str, url: str, content: str | None = None) -> int:
    answer = httpx.request(method, url, auth=(USER, PASSWORD), content=content, trust_env=False, timeout=20)
    return answer.status_code
