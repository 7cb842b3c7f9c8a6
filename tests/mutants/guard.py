"""What a guard is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Guard:
    """A piece of `file` in the package, or in `functions/`; with `new` in its place `test` must fail."""

    name: str
    file: str
    old: str
    new: str
    test: str
    times: int = 1

    @property
    def path(self) -> str:
        """The file's path from the root of the repository."""
        return self.file if self.file.startswith("functions/") else f"layers/common/fairslot/{self.file}"
