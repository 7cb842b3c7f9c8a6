"""When a schedule expression of EventBridge fires next.

`rate(5 minutes)` and `cron(minutes hours day-of-month month day-of-week year)` in UTC; of cron's
signs `*`, `?`, `,`, `-` and `/`, not `L`, `W` and `#`.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_UNITS = {"minute": 60, "hour": 3600, "day": 86400}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIELDS = 6


class ScheduleError(ValueError):
    """An expression that EventBridge would refuse, or a sign of cron's that is not known here."""


@dataclass(frozen=True)
class Rate:
    """Every so often."""

    every: timedelta

    def after(self, moment: datetime) -> datetime:
        """Return when it fires next, if it fired at `moment`."""
        return moment + self.every


@dataclass(frozen=True)
class Cron:
    """At the minutes that all fields allow; the fields are the sets of the allowed numbers."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    years: frozenset[int]

    def after(self, moment: datetime) -> datetime:
        """Return the first minute after `moment` at which it fires.

        Raises:
            ScheduleError: there is none any more.

        """
        at = moment.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        while at.year <= max(self.years):
            if not (at.year in self.years and at.month in self.months and self._day(at)):
                at = at.replace(hour=0, minute=0) + timedelta(days=1)
            elif at.hour not in self.hours:
                at = at.replace(minute=0) + timedelta(hours=1)
            elif at.minute not in self.minutes:
                at += timedelta(minutes=1)
            else:
                return at
        raise ScheduleError("this schedule never fires again")

    def _day(self, at: datetime) -> bool:
        return at.day in self.days and at.isoweekday() % 7 + 1 in self.weekdays


def parse(expression: str) -> Rate | Cron:
    """Read `rate(…)` or `cron(…)`.

    Raises:
        ScheduleError: it is neither, or has an error in it.

    """
    rate = re.fullmatch(r"rate\((\d+) (minute|hour|day)(s?)\)", expression.strip())
    if rate:
        count = int(rate[1])
        if count < 1 or (count == 1) == bool(rate[3]):  # EventBridge insists on its grammar
            raise ScheduleError(expression)
        return Rate(timedelta(seconds=count * _UNITS[rate[2]]))
    cron = re.fullmatch(r"cron\((.+)\)", expression.strip())
    fields = cron[1].split() if cron else []
    if len(fields) != _FIELDS or (fields[2] == "?") == (fields[4] == "?"):
        raise ScheduleError(expression)
    minutes, hours, days, months, weekdays, years = fields
    return Cron(
        _numbers(minutes, 0, 59),
        _numbers(hours, 0, 23),
        _numbers(days, 1, 31),
        _numbers(months, 1, 12, _MONTHS),
        _numbers(weekdays, 1, 7, _WEEKDAYS),
        _numbers(years, 1970, 2199),
    )


def _numbers(text: str, low: int, high: int, names: tuple[str, ...] = ()) -> frozenset[int]:
    """Return the numbers that one field allows."""
    number = {name: place for place, name in enumerate(names, 1)}
    allowed: set[int] = set()
    for part in text.upper().split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        try:
            start = low if first in {"*", "?"} else number.get(first) or int(first)
            end = (number.get(last) or int(last)) if dash else start
        except ValueError as error:
            raise ScheduleError(f"{text} in a cron expression is not known here") from error
        if not dash and (step or first in {"*", "?"}):
            end = high
        if not low <= start <= end <= high or (step and (not step.isdigit() or int(step) < 1)):
            raise ScheduleError(f"{text} in a cron expression")
        allowed.update(range(start, end + 1, int(step or 1)))
    return frozenset(allowed)
