"""The memory and the processor time of each process of a stack, during a run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
# More than both of these more counts as growth.
_FACTOR, _MIB = 1.25, 16.0
# Less than this is what a function takes that has imported all that it uses.
_IMPORTED_MIB = 64.0


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process: what it runs, and its own memory in MiB, and its processor time in seconds."""

    name: str
    mib: float = 0.0
    seconds: float = 0.0


def look(root: int, names: Mapping[int, str]) -> dict[int, Process]:
    """Return a process and all that it has started, by id; `names` are of those that are known by id.

    Those of Postgres count as one.
    """
    children: dict[int, list[int]] = {}
    for pid in (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()):
        children.setdefault(_parent(pid), []).append(pid)

    def all_of(pid: int) -> Iterator[tuple[int, Process]]:
        name = names.get(pid) or _program(pid)
        if name == "postgres":
            family = [pid, *children.get(pid, [])]
            yield pid, Process(name=name, mib=sum(map(_own, family)), seconds=sum(map(_busy, family)))
            return
        if name:
            yield pid, Process(name=name, mib=_own(pid), seconds=_busy(pid))
        for child in children.get(pid, []):
            yield from all_of(child)

    return dict(all_of(root))


def _parent(pid: int) -> int:
    try:
        return int((_PROC / str(pid) / "stat").read_text("utf-8").rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _program(pid: int) -> str:
    """Return what a process runs, a module for Lambda's runtime; empty if it is gone."""
    try:
        words = (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return ""
    if "-m" not in words:
        return Path(words[0]).name if words else ""
    module = words[words.index("-m") + 1]
    return words[-1].removesuffix(".lambda_handler") if module == "awslambdaric" else module


def _own(pid: int) -> float:
    """Return the anonymous memory: not the programs' files, and not what Postgres shares."""
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text("utf-8").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss_Anon:")) / 1024


def _busy(pid: int) -> float:
    """Return the processor time of all its threads."""
    try:
        threads = [one / "schedstat" for one in (_PROC / str(pid) / "task").iterdir()]
        return sum(int(one.read_text("utf-8").split()[0]) for one in threads) / 1e9
    except OSError:
        return 0.0


def spent(before: Mapping[int, Process], after: Mapping[int, Process]) -> dict[str, float]:
    """Return by kind the processor time between two looks, without that of processes that have ended."""
    found: dict[str, float] = {}
    for pid, one in after.items():
        since = before[pid].seconds if pid in before else 0.0
        found[one.name] = found.get(one.name, 0.0) + one.seconds - since
    return found


def memory_table(looks: Sequence[Mapping[int, Process]]) -> str:
    """Return a line for each process: its memory at the start, at half time and at the end."""
    everybody = {pid: one for look in looks for pid, one in look.items()}
    lines = [f"{'own memory, MiB':<44}{'start':>8}{'half':>8}{'end':>8}"]
    for pid, process in sorted(everybody.items(), key=lambda item: (item[1].name, item[0])):
        cells = "".join(f"{look[pid].mib:>8.0f}" if pid in look else f"{'-':>8}" for look in looks)
        lines.append(f"{process.name:<36}{pid:>8}{cells}")
    return "\n".join(lines)


def grown(half: Mapping[int, Process], end: Mapping[int, Process]) -> list[str]:
    """Return which kinds of process have grown by a quarter and 16 MiB in the second half of the run.

    What a process imports when it is first used is no growth, so the largest of each kind are compared, and
    none counts that is below 64 MiB.
    """
    before, after = _largest(half), _largest(end)
    return [
        f"{name} grew from {before[name]:.0f} to {mib:.0f} MiB in the second half"
        for name, mib in after.items()
        if name in before and mib > max(before[name] * _FACTOR, before[name] + _MIB, _IMPORTED_MIB)
    ]


def _largest(look: Mapping[int, Process]) -> dict[str, float]:
    found: dict[str, float] = {}
    for one in look.values():
        found[one.name] = max(found.get(one.name, 0.0), one.mib)
    return found
