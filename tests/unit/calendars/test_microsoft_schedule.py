"""Free and busy times of Microsoft 365, where no events may be read."""

import asyncio

import pytest

from fairslot.calendars.interface import CalendarError
from fairslot.calendars.microsoft_events import Rules
from fairslot.calendars.microsoft_schedule import MicrosoftSchedule
from fairslot.domain.slots import Window
from tests.support.environment import clear_caches
from tests.unit.calendars.graph import (
    ADDRESS,
    BASE,
    BUSY,
    DAY,
    FREE,
    HOUR,
    LIMITS,
    WINDOW,
    Graph,
    Tokens,
    time,
)


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins of providers are on this machine."""
    monkeypatch.setenv("WEBHOOK_ALLOW_LOOPBACK_HTTP", "true")
    clear_caches()


def schedule(**more: object) -> tuple[int, dict[str, object]]:
    """Make an answer of getSchedule."""
    return 200, {
        "value": [{"scheduleId": ADDRESS, "availabilityView": "00000000", "scheduleItems": [], **more}]
    }


def test_free_busy_is_read_slot_by_slot() -> None:
    """Free where neither the view nor an item says otherwise; working elsewhere as the coach says."""
    assert Graph(schedule(availabilityView="01234900")).schedule() == 0b10001011
    busy = Rules(working_elsewhere_is_busy=True)
    assert Graph(schedule(availabilityView="01234900")).schedule(rules=busy) == 0b10000011
    item = {"status": "oof", "start": time(DAY), "end": time(DAY + HOUR)}
    assert Graph(schedule(scheduleItems=[item])).schedule() == BUSY
    away = [{**item, "status": "workingElsewhere"}]
    assert Graph(schedule(scheduleItems=away)).schedule() == FREE
    assert Graph(schedule(scheduleItems=away)).schedule(rules=busy) == BUSY


@pytest.mark.parametrize(
    ("more", "reason", "ended"),
    [
        ({"error": {"responseCode": "ErrorMailRecipientNotFound"}}, "not_found", "unsupported"),
        ({"error": {"responseCode": "ErrorNoFreeBusyAccess"}}, "forbidden", "disconnected"),
        ({"error": {"responseCode": "ErrorTimeoutExpired"}}, "http_500", None),
        ({"error": {}}, "http_500", None),
        ({"availabilityView": "0000000"}, "invalid_body", None),
        ({"availabilityView": None}, "invalid_body", None),
        ({"scheduleId": "ben@example.com"}, "invalid_body", None),
    ],
)
def test_an_error_inside_a_200_is_never_free(more: dict[str, object], reason: str, ended: str | None) -> None:
    """Nor is an answer about somebody else, or about another time."""
    with pytest.raises(CalendarError) as raised:
        Graph(schedule(**more)).schedule()
    assert (raised.value.reason, raised.value.ended) == (reason, ended)


def test_a_long_window_is_asked_for_in_parts() -> None:
    """Of 60 days, put together in order."""
    window = Window(WINDOW.first_slot, 5760 + 8)
    graph = Graph(schedule(availabilityView="2" * 5760), schedule(availabilityView="00000002"))
    opened = MicrosoftSchedule(
        token=Tokens(), address=ADDRESS, app_only=True, base_url=BASE, limits=LIMITS, transport=graph
    )
    assert asyncio.run(opened.free(window)).bits == 0b11111110
    assert graph.asked == ["POST users/ana@example.com/calendar/getSchedule"] * 2
