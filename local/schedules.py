"""The schedule expressions of EventBridge that the template uses: `rate(5 minutes)`.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
"""

import re
from datetime import timedelta

_UNITS = {"minute": 60, "hour": 3_600, "day": 86_400}  # seconds


class ScheduleError(ValueError):
    """An expression that EventBridge would refuse, or that the local stack does not support."""


def interval(expression: str) -> timedelta:
    """Return the time between two runs.

    Raises:
        ScheduleError: it is not a valid rate.

    """
    rate = re.fullmatch(r"rate\((\d+) (minute|hour|day)(s?)\)", expression.strip())
    # EventBridge insists on its grammar: 1 minute, 2 minutes.
    if not rate or int(rate[1]) < 1 or (int(rate[1]) == 1) == bool(rate[3]):
        raise ScheduleError(expression)
    return timedelta(seconds=int(rate[1]) * _UNITS[rate[2]])
