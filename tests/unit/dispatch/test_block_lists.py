"""Whose block a refusal met: read from the calendar's list, if it has one, and from nothing else."""

import asyncio
import json

import httpx
import pytest

from fairslot.dispatch import blocks, subscribers
from fairslot.dispatch.result import Result
from fairslot.platform import http_client
from tests.support.mock_partner import DATA, delivery

pytestmark = pytest.mark.usefixtures("addresses")

OURS = {
    "block_id": "b-1",
    "coach_id": "coach/1",
    "start_time": DATA["start_time"],
    "end_time": DATA["end_time"],
}
LONGER = OURS | {"block_id": "b-2", "end_time": "2026-03-03T10:00:00Z"}
ELSEWHERE = OURS | {
    "block_id": "b-3",
    "start_time": "2026-03-03T10:00:00Z",
    "end_time": "2026-03-03T10:30:00Z",
}


class Calendar:
    """Refuses every block, and answers one thing when it is asked for its list."""

    def __init__(self, listed: object = b"", *, status: int = 200, **headers: str) -> None:
        self.listed = listed if isinstance(listed, bytes) else json.dumps(listed).encode()
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.asked: list[httpx.URL] = []
        self.posts = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer as httpx.MockTransport asks."""
        if request.method == "POST":
            self.posts += 1
            return httpx.Response(409, stream=httpx.ByteStream(b'{"error": "Slot already blocked"}'))
        self.asked.append(request.url)
        if self.status == 0:
            raise httpx.ConnectError("refused")
        return httpx.Response(self.status, headers=self.headers, stream=httpx.ByteStream(self.listed))

    def tell(self, action: str = "block") -> Result:
        """Make one attempt at a calendar's delivery."""
        sent = delivery("calendar_api", action=action)
        return asyncio.run(subscribers.deliver(sent, seconds=5, transport=httpx.MockTransport(self)))


def test_a_refused_block_is_looked_for_at_its_coach_and_time() -> None:
    """The refusal stands; what it met is told with it."""
    calendar = Calendar({"blocks": [ELSEWHERE, LONGER, OURS], "total": 3})
    result = calendar.tell()
    assert (result.error, result.final, result.answer) == ("already_blocked", True, {"found_block_id": "b-1"})
    (url,) = calendar.asked
    assert url.raw_path.partition(b"?")[0] == b"/coaches/coach%2F1/blocks"
    assert dict(url.params) == {name: DATA[name] for name in ("start_time", "end_time")}


def test_the_same_instants_are_the_same_however_they_are_written() -> None:
    """The calendar may write them in the coach's zone."""
    local = OURS | {"start_time": "2026-03-03T04:00:00-05:00", "end_time": "2026-03-03T04:30:00.000-05:00"}
    assert Calendar({"blocks": [local]}).tell().answer == {"found_block_id": "b-1"}


@pytest.mark.parametrize("listed", [[], [LONGER], [ELSEWHERE], ["text", None, {}], [OURS | {"end_time": 5}]])
def test_a_list_without_it_says_so(listed: object) -> None:
    """Whoever has a part of the time is somebody else."""
    assert Calendar({"blocks": listed}).tell().answer == {"absent": "true"}


@pytest.mark.parametrize(
    "listed", [b"<html>", [], {"slots": []}, {"blocks": {}}, {"blocks": [OURS | {"block_id": None}]}]
)
def test_what_is_no_list_says_nothing(listed: object) -> None:
    """Neither that the block is there nor that it is not."""
    result = Calendar(listed).tell()
    assert (result.error, result.final, result.answer) == ("already_blocked", True, {})


def test_a_list_that_is_cut_off_says_nothing() -> None:
    """What comes after the part that is read may be ours."""
    many = [ELSEWHERE | {"note": "x" * 500}] * 2_500
    assert len(json.dumps(many)) > http_client.LIST_BYTES
    assert Calendar({"blocks": many}).tell().answer == {}


@pytest.mark.parametrize("status", [404, 405, 410, 501])
def test_a_partner_without_a_list_is_not_asked_again_and_again(status: int) -> None:
    """It is remembered for a while."""
    calendar = Calendar(status=status)
    for _ in range(3):
        result = calendar.tell()
        assert (result.error, result.final, result.answer) == ("already_blocked", True, {})
    assert (calendar.posts, len(calendar.asked)) == (3, 1)


def test_what_is_remembered_is_believed_for_a_while() -> None:
    """A partner may have a list one day."""
    now = 0.0
    without_list = blocks.NoListCache(clock=lambda: now)
    without_list.add("partner")
    now = blocks.NO_LIST_SECONDS - 1
    assert "partner" in without_list
    assert "another" not in without_list
    now = blocks.NO_LIST_SECONDS
    assert "partner" not in without_list


@pytest.mark.parametrize(("status", "wait"), [(503, 7.0), (500, 7.0), (429, 7.0), (0, 0.0)])
def test_a_list_that_cannot_be_read_is_worth_another_attempt(status: int, wait: float) -> None:
    """The refusal may be our own block's; the partner is asked no sooner than it says."""
    result = Calendar(status=status, Retry_After="7").tell()
    assert (result.error, result.final, result.answer) == ("already_blocked", False, {})
    assert result.retry_after == wait


@pytest.mark.parametrize(
    ("listed", "answer"), [([OURS], {"found_block_id": "b-1"}), ([], {"absent": "true"})]
)
def test_looking_makes_no_block(listed: object, answer: dict[str, str]) -> None:
    """Nobody wants it any more."""
    calendar = Calendar({"blocks": listed})
    result = calendar.tell("find")
    assert (result.error, result.answer, calendar.posts) == (None, answer, 0)


def test_looking_at_a_partner_without_a_list_ends() -> None:
    """No further attempt would learn more."""
    result = Calendar(status=404).tell("find")
    assert (result.error, result.final) == ("cannot_list", True)


@pytest.mark.parametrize(("status", "error"), [(503, "http_503"), (0, "connection")])
def test_looking_is_tried_again_where_nothing_can_be_read(status: int, error: str) -> None:
    """As any delivery."""
    result = Calendar(status=status, Retry_After="7").tell("find")
    assert (result.error, result.final, result.retry_after) == (error, False, 7.0 if status else 0.0)
