"""What the environment says about the local stack."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local.calendar_standins import STANDINS
from local.function_env import ROOT


class OptionError(ValueError):
    """A variable of the environment has an invalid value."""


@dataclass(frozen=True)
class StackOptions:
    """The data directory, the ports, the most processes of a function, and whether to load the demo data."""

    data: Path
    port: int
    calendar_port: int
    crm_port: int
    http_processes: int
    queue_processes: int
    demo: bool
    environment: Mapping[str, str]
    # Kinds of calendars whose stand-ins are started, and their ports.
    calendars: tuple[str, ...] = ()
    standin_ports: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "StackOptions":
        """Read PORT, FAIRSLOT_DATA, CALENDAR_PORT, CRM_PORT, HTTP_PROCESSES, QUEUE_PROCESSES, FAIRSLOT_DEMO.

        CALENDARS too, such as `google`, and GOOGLE_PORT and so on.

        Raises:
            OptionError: a number is invalid or out of range, FAIRSLOT_DEMO is something else than `none`, or
                CALENDARS names a kind that has no stand-in here.

        """
        demo = environment.get("FAIRSLOT_DEMO") or None
        if demo not in {None, "none"}:
            raise OptionError(f"FAIRSLOT_DEMO must be none, or not there, not {demo!r}")
        return cls(
            demo=demo is None,
            data=Path(environment.get("FAIRSLOT_DATA") or ROOT / ".data").resolve(),
            port=_number(environment, "PORT", 3000, 65535),
            calendar_port=_number(environment, "CALENDAR_PORT", 3001, 65535),
            crm_port=_number(environment, "CRM_PORT", 3002, 65535),
            http_processes=_number(environment, "HTTP_PROCESSES", 4, 64, lowest=1),
            queue_processes=_number(environment, "QUEUE_PROCESSES", 12, 64, lowest=1),
            environment=environment,
            calendars=_kinds(environment),
            standin_ports={
                kind: _number(environment, f"{kind.upper()}_PORT", standin.port, 65535)
                for kind, standin in STANDINS.items()
            },
        )

    def address(self, name: str) -> str | None:
        """Return an address that the environment gives; None if it is missing or empty."""
        return self.environment.get(name) or None


def _kinds(environment: Mapping[str, str]) -> tuple[str, ...]:
    kinds = tuple(kind.strip() for kind in (environment.get("CALENDARS") or "").split(",") if kind.strip())
    if unknown := [kind for kind in kinds if kind not in STANDINS]:
        raise OptionError(f"CALENDARS may name {', '.join(STANDINS)}, not {', '.join(unknown)}")
    return tuple(dict.fromkeys(kinds))


def _number(environment: Mapping[str, str], name: str, default: int, highest: int, lowest: int = 0) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal() or not lowest <= int(text) <= highest:
        raise OptionError(f"{name} must be a whole number from {lowest} to {highest}, not {text!r}")
    return int(text)
