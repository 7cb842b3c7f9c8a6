"""A plot of each figure over the commits that were measured: `make bench-plots`.

Draws bench/results/figures.svg from the runs in bench/results/: a panel for each figure, a point for each
commit, the goal as a dashed line. A commit that made something slower is a step in the wrong direction.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.figures import Figure
from bench.runs import RESULTS, Run, kept

PLOT = RESULTS / "figures.svg"
_COLUMNS = 4
_BAD, _GOOD = "tab:red", "tab:green"


def draw(runs: Sequence[Run], file: Path = PLOT) -> None:
    """Draw every figure of these runs."""
    import matplotlib as mpl  # takes half a second, and only plots need it
    from matplotlib.figure import Figure as Sheet

    # The same runs make the same file, with its texts as text.
    mpl.rcParams.update({"svg.hashsalt": "fairslot", "svg.fonttype": "none"})
    figures = {figure.name: figure for run in runs for figure in run.figures}
    rows = -(-len(figures) // _COLUMNS)
    sheet = Sheet(figsize=(4.6 * _COLUMNS, 2.4 * rows), layout="tight")
    panels = list(sheet.subplots(rows, _COLUMNS, squeeze=False).flat)
    for figure, panel in zip(figures.values(), panels, strict=False):
        _draw_one(panel, figure, runs)
    for panel in panels[len(figures) :]:
        panel.axis("off")
    sheet.savefig(file, metadata={"Date": None})


def _draw_one(panel: Any, figure: Figure, runs: Sequence[Run]) -> None:
    found = [(place, run.values.get(figure.name)) for place, run in enumerate(runs)]
    points = [(place, value) for place, value in found if value is not None]
    panel.plot(*zip(*points, strict=True) if points else ([], []), color="tab:blue", linewidth=1)
    for place, value in points:
        met = Figure(name="", value=value, goal=figure.goal, at_least=figure.at_least).is_met
        panel.plot(place, value, "o", markersize=4, color=_GOOD if met else _BAD)
    if figure.goal is not None:
        panel.axhline(figure.goal, color="grey", linestyle="--", linewidth=0.8)
    panel.set_title(figure.name, fontsize="x-small", wrap=True)
    panel.set_ylabel(figure.unit or "ratio", fontsize="x-small")
    highest = max([value for _, value in points] + [figure.goal or 0])
    panel.set_ylim(0, highest * 1.15 or 1)
    panel.set_xlim(-0.5, len(runs) - 0.5)
    panel.set_xticks(range(len(runs)), [run.commit for run in runs], rotation=45, fontsize="xx-small")
    panel.tick_params(axis="y", labelsize="xx-small")


def main() -> None:
    """Draw all the runs that were kept."""
    runs = kept()
    if not runs:
        raise SystemExit(f"no run is in {RESULTS}: run `make bench` on a commit first")
    draw(runs)
    print(f"drew {len(runs)} runs into {PLOT}")


if __name__ == "__main__":
    main()
