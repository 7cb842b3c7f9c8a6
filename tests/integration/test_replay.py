"""The record of decisions replays bit for bit, whatever happened, and tells when it was touched."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fairslot.domain.fair_share import weights
from fairslot.domain.replay import ReplayError
from fairslot.platform import db
from fairslot.platform.db import Connection
from tests.support.bookings import book, cancel, reassign, reschedule
from tests.support.clock import NINE, NOW, QUARTER
from tests.support.invariants import check_invariants
from tests.support.tables import clear_tables
from tests.support.team import add_calendar, add_coach, add_team, set_calendar, set_coach
from tools import replay

if TYPE_CHECKING:
    from fairslot.domain.idempotency import ChangeResult


def live(connection: Connection, seed: int, steps: int) -> None:
    """Let a random history happen to a team; what the database refuses did not happen."""
    chance = random.Random(seed)  # noqa: S311 - a history needs no cryptography
    coaches = add_team(connection, 5)
    made: list[ChangeResult] = []
    happenings: dict[str, Callable[[], object]] = {
        "book": lambda: made.append(book(connection, NINE + chance.randrange(30) * QUARTER)),
        "cancel": lambda: cancel(connection, made.pop(), by=chance.choice(["customer", "coach"])),
        "move": lambda: reschedule(
            connection, chance.choice(made), NINE + chance.randrange(30) * QUARTER, any_coach=True
        ),
        "hand over": lambda: reassign(connection, chance.choice(made), chance.choice([None, *coaches])),
        "leave": lambda: connection.execute(
            "SELECT engine.leave_team('cal', %s, %s)", (chance.choice(coaches), NOW)
        ),
        "join": lambda: connection.execute(
            "SELECT engine.join_team('cal', %s, 1.5)", (chance.choice(coaches),)
        ),
        "policy": lambda: connection.execute(
            "UPDATE calendars SET policy = %s, policy_version = policy_version + 1",
            (chance.choice(["fair_share", "highest_score"]),),
        ),
        "score": lambda: connection.execute(
            "UPDATE coaches SET score = %s WHERE coach_id = %s",
            (chance.random(), chance.choice(coaches)),
        ),
    }
    often = chance.choices(list(happenings), [12, 3, 3, 3, 1, 1, 1, 1], k=steps)
    for happening in often:
        if made or happening not in {"cancel", "move", "hand over"}:
            try:
                happenings[happening]()
            except psycopg.Error as error:
                assert (error.sqlstate or "").startswith("FS4"), error


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000))
@example(seed=5780)  # two totals that only rounding makes equal
def test_every_history_replays(connection: Connection, seed: int) -> None:
    """Bookings, cancellations, moves, hand-overs, leavers, newcomers and policies replay bit for bit."""
    clear_tables(connection)
    live(connection, seed, 60)
    check_invariants(connection)
    with connection.transaction():
        assert replay.replay(connection, "cal") > 0


TAMPERED = {
    "a choice": (
        "UPDATE decisions SET chosen = 3 WHERE seq = 1",
        "seq 1: chosen: recorded coach-03, replayed coach-01",
    ),
    "who was eligible": (
        "UPDATE decisions SET excluded = '{NULL,NULL,booked}' WHERE seq = 2",
        "seq 3: credit of coach-01: recorded -333333, replayed -166666",
    ),
    "a credit before": (
        "UPDATE decisions SET credits[3] = 7 WHERE seq = 3",
        "seq 3: credit of coach-03: recorded 7, replayed 666666",
    ),
    "a weight": (
        "UPDATE rosters SET weights[1] = 2000000",
        "seq 2: credit of coach-01: recorded -666666, replayed -500000",
    ),
    "a reversal": (
        "UPDATE decisions SET reverses = 1 WHERE seq = 5",
        "at the end: credit of coach-01: recorded -999999, replayed 0",
    ),
    "a row": ("DELETE FROM decisions WHERE seq = 2", "seq 2: the record is missing"),
    "a credit now": (
        "UPDATE turns SET credits[2] = credits[2] + 1",
        "at the end: credit of coach-02: recorded 1000000, replayed 999999",
    ),
}


@pytest.mark.parametrize(("statement", "said"), TAMPERED.values(), ids=TAMPERED.keys())
def test_a_record_that_was_touched_is_found(connection: Connection, statement: str, said: str) -> None:
    """The first difference is named: where, what, as recorded and as replayed."""
    add_team(connection, 3)
    made = [book(connection, NINE + n * 2 * QUARTER) for n in range(4)]
    cancel(connection, made[1])
    with connection.transaction():
        assert replay.replay(connection, "cal") == 5
    connection.execute(statement.encode())
    with pytest.raises(ReplayError) as caught, connection.transaction():
        replay.replay(connection, "cal")
    assert str(caught.value) == said


def test_the_command(
    connection: Connection,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """It prints a line a calendar, the what-if's table, draws a PNG, and exits 1 on a difference."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    coaches = add_team(connection, 3)
    set_calendar(connection, "cal", weight_exponent=0)
    set_coach(connection, "coach-02", score=0.9)
    add_calendar(connection, "half", coaches[1:])
    for n in range(8):
        book(connection, NINE + n * QUARTER * 2, calendar_id="half" if n % 4 == 0 else "cal")

    assert replay.main([]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "cal: 6 records replayed; every choice, share and credit equals the record",
        "half: 2 records replayed; every choice, share and credit equals the record",
    ]

    plot = tmp_path / "what-if.png"
    what_if = ["--calendar", "cal", "--what-if", "--policy", "highest_score", "--plot", str(plot)]
    assert replay.main(what_if) == 0
    assert capsys.readouterr().out.splitlines() == [
        "cal: 6 records replayed; every choice, share and credit equals the record",
        "cal                                       as recorded                            what if",
        "coach                 assigned    entitled  deviation    assigned    entitled  deviation",
        "coach-01                     2      2.0000    +0.0000           0      2.0000    -2.0000",
        "coach-02                     2      2.0000    +0.0000           6      2.0000    +4.0000",
        "coach-03                     2      2.0000    +0.0000           0      2.0000    -2.0000",
        "largest deviation                              0.0000                             4.0000",
        "Jain's index                                   1.0000                             0.3333",
    ]
    assert plot.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")

    connection.execute("UPDATE decisions SET chosen = 3 WHERE (calendar_id, seq) = ('cal', 1)")
    assert replay.main(["--calendar", "cal"]) == 1
    assert "cal: seq 1: chosen: recorded coach-03, replayed coach-01" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--gamma", "nan"], "argument --gamma: nan is not a number"),
        (["--gamma", "inf"], "argument --gamma: inf is not a number"),
        (["--gamma", "-1"], "argument --gamma: -1 is not from 0 to 100"),
        (["--gamma", "1e9"], "argument --gamma: 1e9 is not from 0 to 100"),
        (["--gamma", "much"], "argument --gamma: much is not a number"),
        (["--low", "0"], "argument --low: 0 is not above 0"),
        (["--high", "-2"], "argument --high: -2 is not above 0"),
        (["--low", "3", "--high", "1"], "cal: --low (3) is above --high (1)"),
        (["--low", "3"], "cal: --low (3) is above --high (2)"),
        (
            ["--gamma", "1", "--plot", "x.foo"],
            "argument --plot: x.foo does not end in one of .png, .svg, .pdf",
        ),
        (["--gamma", "1", "--plot", "/nowhere/x.png"], "argument --plot: there is no folder /nowhere"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    connection: Connection,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    said: str,
) -> None:
    """A rule that no calendar could have and a picture that cannot be drawn end in a sentence and code 2."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    add_team(connection, 2)
    try:
        code: object = replay.main(["--what-if", *options])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert said in capsys.readouterr().err


def test_weights_are_one_rule(connection: Connection) -> None:
    """The database's weights and their pure twin agree on random teams, to the millionth."""
    chance = random.Random(7)  # noqa: S311 - as above
    for team in range(40):
        calendar_id = f"cal-{team}"
        scores = {f"{calendar_id}-{n}": round(chance.random(), 3) for n in range(chance.randint(1, 12))}
        manual = {coach_id: chance.choice([0.25, 1, 1, 3]) for coach_id in scores}
        gamma, low, high = chance.choice([0, 1, 2.5, 4]), chance.uniform(0.1, 1), chance.uniform(1, 4)
        for coach_id, score in scores.items():
            add_coach(connection, coach_id, score=score)
        add_calendar(
            connection, calendar_id, list(scores), weight_exponent=gamma, weight_low=low, weight_high=high
        )
        for coach_id, one in manual.items():
            connection.execute(
                "UPDATE coach_calendars SET manual_weight = %s WHERE coach_id = %s", (one, coach_id)
            )
        found = connection.execute(
            "SELECT coach_id, weight FROM coach_credits WHERE calendar_id = %s", (calendar_id,)
        )
        stored = {row["coach_id"]: row["weight"] for row in found}
        assert stored == weights(scores, gamma=gamma, low=low, high=high, manual=manual)


def test_bookings_may_go_on_meanwhile(database_url: str, connect: Callable[[], db.Connection]) -> None:
    """A replay sees one instant of the database, so what is booked meanwhile is no difference."""
    booking, reading = connect(), connect()
    add_team(booking, 3)
    book(booking)
    reading.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with reading.transaction():
        reading.execute("SELECT 1 FROM calendars")
        book(booking, NINE + QUARTER * 2)
        assert replay.replay(reading, "cal") == 1
