"""What the caller's environment decides about the local stack."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.function_env import ROOT


class OptionError(ValueError):
    """A variable of the environment makes no sense."""


@dataclass(frozen=True)
class Options:
    """`processes` are the most of a function that answers HTTP, and of one that does not."""

    data: Path
    port: int
    calendar_port: int
    crm_port: int
    processes: tuple[int, int]
    caller: Mapping[str, str]

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Options":
        """Read PORT, FAIRSLOT_DATA, CALENDAR_PORT, CRM_PORT, HTTP_PROCESSES and QUEUE_PROCESSES.

        Raises:
            OptionError: one is no number, or out of range.

        """
        return cls(
            data=Path(environment.get("FAIRSLOT_DATA") or ROOT / ".data").resolve(),
            port=_number(environment, "PORT", 3000, 65535),
            calendar_port=_number(environment, "CALENDAR_PORT", 3001, 65535),
            crm_port=_number(environment, "CRM_PORT", 3002, 65535),
            processes=(
                _number(environment, "HTTP_PROCESSES", 4, 64, lowest=1),
                _number(environment, "QUEUE_PROCESSES", 12, 64, lowest=1),
            ),
            caller=environment,
        )

    def given(self, name: str) -> str | None:
        """Return an address that the caller gives, None where it is missing or empty."""
        return self.caller.get(name) or None


def _number(environment: Mapping[str, str], name: str, default: int, most: int, lowest: int = 0) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal() or not lowest <= int(text) <= most:
        raise OptionError(f"{name} must be a whole number from {lowest} to {most}, not {text!r}")
    return int(text)
