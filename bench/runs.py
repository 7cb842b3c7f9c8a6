"""The runs of the benchmark that are kept: a file for each commit that was measured, in bench/results/."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from bench.figures import Figure, Moved, Part

RESULTS = Path(__file__).parent / "results"
_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run of the whole benchmark on a commit; instants in ISO 8601, `seconds` is what it took.

    `load` is the machine's load average over the last five minutes of the run, the run's own included.
    """

    commit: str
    committed_at: str
    measured_at: str
    machine: str
    seconds: float
    load: float
    figures: Sequence[Figure]
    moved: Sequence[Moved] = field(default=())
    parts: Sequence[Part] = field(default=())

    @property
    def values(self) -> Mapping[str, float | None]:
        """The values by the figures' names."""
        return {one.name: one.value for one in self.figures}

    @classmethod
    def of_now(
        cls, figures: Sequence[Figure], moved: Sequence[Moved], parts: Sequence[Part], seconds: float
    ) -> Self:
        """Return a run that has just ended, of the commit that is checked out."""
        return cls(
            commit=f"{commit_here()}-dirty" if _is_dirty() else commit_here(),
            committed_at=_git("log", "-1", "--format=%cI"),
            measured_at=f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}",
            machine=f"{os.cpu_count()} cores for clients and servers, Python {platform.python_version()}",
            seconds=round(seconds),
            load=round(os.getloadavg()[1], 1),
            figures=figures,
            moved=moved,
            parts=parts,
        )

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read a run that was kept."""
        found: dict[str, Any] = json.loads(file.read_text("utf-8"))
        found["figures"] = [Figure(**one) for one in found["figures"]]
        found["moved"] = [Moved(**one) for one in found["moved"]]
        found["parts"] = [Part(**one) for one in found.get("parts", ())]  # older runs have none
        return cls(**found)

    def keep(self, folder: Path = RESULTS) -> Path | None:
        """Write the run; return its file, None if it is of no commit because files were changed."""
        if self.commit.endswith("-dirty"):
            return None
        folder.mkdir(exist_ok=True)
        file = folder / f"{self.commit}.json"
        file.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", "utf-8")
        return file


def kept(folder: Path = RESULTS) -> list[Run]:
    """Return the runs that were kept, by the time of their commits."""
    runs = [Run.read(file) for file in folder.glob("*.json")]
    return sorted(runs, key=lambda run: datetime.fromisoformat(run.committed_at))


def commit_here() -> str:
    """Return the short name of the commit that is checked out."""
    return _git("log", "-1", "--format=%h")


def _is_dirty() -> bool:
    """Return whether anything but the results differs from the commit."""
    return bool(_git("status", "--porcelain", "--", ".", ":!bench/results"))


def _git(*arguments: str) -> str:
    return subprocess.run(  # noqa: S603 - this module's own arguments
        ["git", *arguments],  # noqa: S607 - whichever git there is
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
