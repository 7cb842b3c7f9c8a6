"""A history under another rule: same eligibility, same cancellations, other choices."""

from dataclasses import replace
from typing import Any

import pytest

from fairslot.domain.fair_share import MILLION, Candidate
from fairslot.domain.ledger import Books
from fairslot.domain.replay import ReplayError, Step, check
from fairslot.domain.what_if import Rule, deviation, run, table


def assigned(
    seq: int, chosen: str, eligible: dict[str, float], *, policy: str = "fair_share", out: float | None = None
) -> Step:
    """A decision among coaches of these scores, equal weights; `out` is the score of one who was not free."""
    candidates: list[dict[str, Any]] = [
        {"coach_id": coach, "score": score, "weight": MILLION, "share": 0}
        for coach, score in eligible.items()
    ]
    if out is not None:
        candidates.append({"coach_id": "out", "score": out, "excluded": "booked"})
    return Step(
        seq=seq,
        step="assigned",
        kind="normal",
        policy=policy,
        chosen=chosen,
        reverses_seq=None,
        candidates=candidates,
    )


def reversed_(seq: int, of: int, team: list[str]) -> Step:
    """A reversal."""
    candidates = [{"coach_id": coach, "weight": MILLION, "share": 0} for coach in team]
    return Step(
        seq=seq,
        step="reversed",
        kind="normal",
        policy="fair_share",
        chosen="",
        reverses_seq=of,
        candidates=candidates,
    )


def left(seq: int, who: str, team: list[str]) -> Step:
    """A coach leaves, the others of the team stay."""
    candidates: list[dict[str, Any]] = [{"coach_id": coach, "weight": MILLION} for coach in team]
    return Step(
        seq=seq,
        step="left",
        kind="normal",
        policy="fair_share",
        chosen=who,
        reverses_seq=None,
        candidates=[*candidates, {"coach_id": who}],
    )


def test_gamma_makes_weights_of_the_whole_team() -> None:
    """The mean is the team's, with those who were not free; the weights decide the shares."""
    history = [assigned(1, "a", {"a": 0.6, "b": 0.3}, out=0.9)]
    rule = Rule(gamma=1, low=0.1, high=10)
    assert rule.weights_of(history[0]) == {"a": 1_000_000, "b": 500_000, "out": 1_500_000}
    assert run(history, rule).standings["b"].entitled == 333_333


def test_manual_weights_count() -> None:
    """A manual weight multiplies what the score gives."""
    entry = assigned(1, "a", {"a": 0.5, "b": 0.5})
    assert Rule(gamma=4, manual={"b": 3.0}).weights_of(entry) == {"a": 1_000_000, "b": 3_000_000}


def test_what_a_person_chose_stays() -> None:
    """Under another policy a choice by hand is still that choice."""
    history = [assigned(1, "b", {"b": 0.1}, policy="manual"), assigned(2, "b", {"a": 0.9, "b": 0.1})]
    course = run(history, Rule(policy="highest_score"))
    assert {coach: one.assigned for coach, one in course.standings.items()} == {"a": 1, "b": 1}


def test_a_cancellation_undoes_the_choice_made_here() -> None:
    """Where the what-if chose somebody else, the cancellation takes it from that coach."""
    history = [assigned(1, "a", {"a": 0.2, "b": 0.9}), reversed_(2, 1, ["a", "b"])]
    course = run(history, Rule(policy="highest_score"))
    assert all(one.assigned == one.entitled == one.credit == 0 for one in course.standings.values())
    assert course.path == [(1, {"a": -0.5, "b": 0.5}), (2, {"a": 0.0, "b": 0.0})]
    assert (course.most, course.largest) == (0.5, 0.0)
    assert run(history, Rule(policy="highest_score"), every=2).most == 0.5


def test_who_leaves_takes_no_credit_along() -> None:
    """The credit of one who leaves is spread over the rest, to the last millionth."""
    history = [
        assigned(1, "a", {"a": 0.5, "b": 0.5, "c": 0.5}),
        left(2, "a", ["b", "c"]),
        assigned(3, "b", {"b": 0.5, "c": 0.5}),
    ]
    course = run(history, Rule())
    credit = {coach: one.credit for coach, one in course.standings.items()}
    assert credit == {"a": 0, "b": -500_000, "c": 500_000}
    assert deviation(course.standings["a"]) == pytest.approx(2 / 3, abs=1e-6)


def moved(seq: int, step: str, who: str, amount: int, team: list[str], kind: str = "normal") -> Step:
    """A credit is moved, and the others of the team pay."""
    candidates: list[dict[str, Any]] = [{"coach_id": coach, "weight": MILLION, "delta": 0} for coach in team]
    return Step(
        seq=seq,
        step=step,
        kind=kind,
        policy="fair_share",
        chosen=who,
        reverses_seq=None,
        candidates=[*candidates, {"coach_id": who, "delta": amount}],
    )


def test_kinds_of_hours_are_kept_apart() -> None:
    """Who had a weekday has the weekend too; what is moved in one kind stays in it."""
    team = {"a": 0.5, "b": 0.5}
    history = [
        assigned(1, "a", team),
        replace(assigned(2, "a", team), kind="weekend"),
        replace(assigned(3, "b", team), kind="weekend"),
        replace(reversed_(4, 2, ["a", "b"]), kind="weekend"),
    ]
    course = run(history, Rule())
    assert course.by_kind == {"normal": 0.5, "weekend": 0.5}
    assert [(coach, one.assigned) for coach, one in sorted(course.standings.items())] == [("a", 1), ("b", 1)]
    assert course.largest == 0.0
    assert "  weekend" in table("cal", course, course)


def test_a_removed_kind_goes_on_in_normal() -> None:
    """With its bookings, and what is undone later is undone there."""
    team = {"a": 0.5, "b": 0.5}
    gone = Step(
        seq=2,
        step="removed",
        kind="weekend",
        policy="fair_share",
        chosen=None,
        reverses_seq=None,
        candidates=[{"coach_id": "a", "credit": -500_000}, {"coach_id": "b", "credit": 500_000}],
    )
    history = [replace(assigned(1, "a", team), kind="weekend"), gone, reversed_(3, 1, ["a", "b"])]
    course = run(history[:2], Rule())
    assert {one.credit for one in course.standings.values()} == {-500_000, 500_000}
    course = run(history, Rule())
    assert course.by_kind == {"normal": 0.0}
    assert all(one.assigned == one.entitled == one.credit == 0 for one in course.standings.values())


def test_an_adjustment_is_what_it_was_and_settling_what_is_owed_here() -> None:
    """Under another rule the amount stays; an absence settles what that rule came to."""
    team = {"a": 0.2, "b": 0.9}
    history = [assigned(1, "a", team), moved(2, "adjusted", "a", 250_000, ["b"])]
    course = run(history, Rule(policy="highest_score"))
    assert {coach: one.credit for coach, one in course.standings.items()} == {"a": 250_000, "b": -250_000}
    settled = [*history, moved(3, "settled", "a", 250_000, ["b"])]
    for rule in (Rule(), Rule(policy="highest_score")):
        assert {one.credit for one in run(settled, rule).standings.values()} == {0}


def test_a_reversal_in_the_wrong_kind_is_found() -> None:
    """It must be in the kind that has the decision."""
    books = Books()
    books.decide(1, [Candidate(coach_id="a", weight=MILLION, credit=0, last_seq=None)], "fair_share", "late")
    with pytest.raises(ReplayError, match="seq 2: kind: recorded normal, replayed late"):
        check(reversed_(2, 1, ["a"]), books)


def test_a_reversal_of_nothing_is_found() -> None:
    """A record that reverses what was never decided is no history."""
    with pytest.raises(ReplayError, match="seq 2: there is no decision 1 to reverse"):
        check(reversed_(2, 1, ["a"]), Books())
