"""The benchmark's own promises: what is met, what is kept, and what a plot shows."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from bench import http_memory, plots, table
from bench.figures import Figure, Moved, Part, range_of
from bench.http_memory import Memory
from bench.load.processes import Process
from bench.load.target import Target
from bench.runs import Run, kept
from bench.table import Table


def run_of(commit: str, committed_at: str, values: Mapping[str, float | None]) -> Run:
    """Return a run with these figures, whose goal is 10 ms."""
    return Run(
        commit=commit,
        committed_at=committed_at,
        measured_at="2026-01-01T00:00Z",
        machine="2 cores",
        seconds=1,
        load=0.5,
        figures=[Figure(name=name, value=value, unit="ms", goal=10) for name, value in values.items()],
        moved=[Moved(name="deliveries", saved=150, cost=43, where="the relay")],
        parts=[Part(name="booking", seconds=20.4, processor_seconds=31.6)],
    )


@pytest.mark.parametrize(
    ("value", "goal", "at_least", "met"),
    [
        (9.0, 10, False, True),
        (11.0, 10, False, False),
        (11.0, 10, True, True),
        (9.0, 10, True, False),
        (None, 10, False, False),
        (None, None, False, True),
    ],
)
def test_a_goal_is_a_maximum_or_a_minimum(
    *, value: float | None, goal: float | None, at_least: bool, met: bool
) -> None:
    """What is not built does not meet a goal; what has no goal cannot miss one."""
    assert Figure(name="x", value=value, goal=goal, at_least=at_least).is_met is met


def test_runs_are_kept_by_commit_and_read_in_their_order(tmp_path: Path) -> None:
    """A second run of a commit replaces the first; the order is that of the commits, whatever their zone."""
    runs = [
        run_of("aaa", "2026-01-02T00:30:00+02:00", {"x": 1}),
        run_of("bbb", "2026-01-01T23:00:00+00:00", {"x": 2, "y": None}),
    ]
    for one in (replace(runs[0], seconds=9), *reversed(runs)):
        assert one.keep(tmp_path) == tmp_path / f"{one.commit}.json"
    assert kept(tmp_path) == [replace(one, moved=list(one.moved)) for one in runs]


def test_a_run_from_before_its_parts_were_timed_is_read(tmp_path: Path) -> None:
    """It has none."""
    file = run_of("aaa", "2026-01-01T00:00:00+00:00", {"x": 1}).keep(tmp_path)
    assert file is not None
    found = json.loads(file.read_text("utf-8"))
    del found["parts"]
    file.write_text(json.dumps(found), "utf-8")
    [run] = kept(tmp_path)
    assert run.parts == []


def test_the_table_says_what_measuring_took(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By part: the time that passed, and that of all processes on processors."""
    monkeypatch.setattr(table, "RESULTS", tmp_path)
    table.write(run_of("aaa", "2026-01-01T00:00:00+00:00", {"x": 1}), Table([]))
    assert "booking: 20 s, 32 s of processors" in (tmp_path / "last.txt").read_text("utf-8").splitlines()


def test_the_rounds_of_a_figure_show_how_far_they_lie_apart() -> None:
    """Few rounds say more with the least and the most."""
    assert range_of([0.3, 0.25, 0.3]) == "0.25 to 0.30 in 3 rounds"


def test_memory_that_grows_goes_on_to_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that had fewer events than asked for is judged by what the second half of them added."""
    looks = iter([[50.0, 40.0], [60.0, 55.0], [62.0, 61.0]])
    peaks = dict(zip((1, 2), next(looks), strict=True))
    names = {1: Process(name="booking.app"), 2: Process(name="booking.app")}
    monkeypatch.setattr(http_memory, "FUNCTIONS", ("booking.app",))
    monkeypatch.setattr(http_memory, "look", lambda *_: names)
    monkeypatch.setattr(http_memory, "_peak", lambda pid: peaks[pid])
    memory = Memory(Target(state={"pid": 0, "pids": {}}, key=""))
    for one in looks:
        peaks.update(zip((1, 2), one, strict=True))
        memory.look()
    [few] = memory.figures({"booking.app": 10_000})
    [many] = memory.figures({"booking.app": 30_000})
    assert few.value == 62 + 2 * 2
    assert few.note == "62.0 after 5,000 in each of 2, 60.0 after half of them"
    assert many.value == 62


def test_a_run_of_changed_files_is_not_kept(tmp_path: Path) -> None:
    """It is the run of no commit."""
    assert run_of("aaa-dirty", "2026-01-01T00:00:00+00:00", {}).keep(tmp_path) is None
    assert kept(tmp_path) == []


def test_a_line_shows_the_run_before_and_the_first() -> None:
    """Also if one of them did not measure it."""
    day = "2026-01-0{}T00:00:00+00:00"
    lines = Table([run_of(name, day.format(n), {"x": n}) for n, name in ((1, "a"), (2, "b"), (3, "c"))])
    assert lines.compared == "before: commit c; first: commit a"
    assert lines.line(Figure(name="x", value=4, unit="ms", goal=3)).split() == [
        *("x", "≤", "3", "4.00", "ms", "NOT", "MET", "3.00", "1.00")
    ]
    assert lines.line(Figure(name="y", value=None)).split() == ["y", "not", "built", "-", "-"]


def test_the_plot_has_a_panel_a_figure_and_a_point_a_commit(tmp_path: Path) -> None:
    """The same runs make the same file, so that a changed plot is a changed run."""
    runs = [
        run_of("aaa111", "2026-01-01T00:00:00+00:00", {"pages": 8, "bookings": None}),
        run_of("bbb222", "2026-01-02T00:00:00+00:00", {"pages": 12, "bookings": 5}),
    ]
    first, second = tmp_path / "1.svg", tmp_path / "2.svg"
    plots.draw(runs, first)
    plots.draw(runs, second)
    text = first.read_text("utf-8")
    assert text == second.read_text("utf-8")
    for name in ("pages", "bookings", "aaa111", "bbb222"):
        assert f">{name}</text>" in text


def test_there_is_no_plot_of_no_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It says what to do instead."""
    monkeypatch.setattr(plots, "kept", lambda: kept(tmp_path))
    with pytest.raises(SystemExit, match="make bench"):
        plots.main()
