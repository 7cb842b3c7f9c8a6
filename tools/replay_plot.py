"""A plot of the deviations over time, as recorded and under the other rule."""

from collections.abc import Mapping
from pathlib import Path

from fairslot.domain.what_if import Course


def draw(title: str, courses: Mapping[str, Course], bound: float, file: Path) -> None:
    """Draw a panel for each course: each coach's deviation, and the bound; the suffix is the format."""
    from matplotlib.figure import Figure  # takes half a second, and only plots need it

    figure = Figure(figsize=(7 * len(courses), 4.5), layout="tight")
    panels = figure.subplots(1, len(courses), squeeze=False, sharey=True)
    for panel, (name, course) in zip(panels[0], courses.items(), strict=True):
        coaches = sorted(course.standings)
        for coach_id in coaches:
            path = [(seq, found[coach_id]) for seq, found in course.path if coach_id in found]
            panel.plot([seq for seq, _ in path], [off for _, off in path], linewidth=0.9, label=coach_id)
        for side in (-bound, bound):
            panel.axhline(side, color="grey", linestyle="--", linewidth=0.8)
        panel.set_title(f"{title}, {name}: {course.most:.2f} off at most, Jain {course.jain:.4f}")
        panel.set_xlabel("record")
        panel.set_ylabel("assigned - entitled, in bookings")
        if 0 < len(coaches) <= 12:  # noqa: PLR2004 - a longer legend covers the plot
            panel.legend(fontsize="x-small", ncols=2)
    figure.savefig(file)
