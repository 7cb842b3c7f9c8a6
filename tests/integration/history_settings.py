"""Settings of coaches, calendars and teams, drawn at random from those that get into one another's way."""

from random import Random
from typing import Any

from tests.support.team import ALWAYS, EVERY_DAY

type Settings = dict[str, Any]

COACHES = ["ana", "ben", "cy", "dee", "eve"]
CALENDARS = ["cal", "long"]
ZONES = ["America/New_York", "Europe/Berlin", "Asia/Kathmandu", "America/Havana", "Australia/Lord_Howe"]
# Before New York and Havana, then Berlin, then Lord Howe change their clocks at the end of a week.
EVES = ["2026-03-07T12:00:00Z", "2026-03-28T12:00:00Z", "2026-04-04T06:00:00Z"]
RULES = [[], ["language:de"], ["tier:2"], ["language:de", "tier:2"]]
KINDS: list[list[Settings]] = [
    [],
    [{"name": "weekend", "days": ["sat", "sun"]}],
    [{"name": "early", "before": "09:00"}, {"name": "weekend", "days": ["sun"]}],
    [{"name": "night", "from": "22:00", "before": "04:00"}, {"name": "early", "before": "10:00"}],
]
_NIGHT = {"sat": [["20:00", "04:00"]], "sun": [["10:00", "18:00"]]}


def a_coach(draw: Random) -> Settings:
    """Return settings of a coach."""
    return {
        "name": "Coach",
        "email": None,
        "time_zone": draw.choice(ZONES),
        "active": draw.random() < 0.9,
        "working_hours": draw.choice([ALWAYS, ALWAYS, EVERY_DAY, _NIGHT]),
        "overrides": draw.choice([[], [], [], [{"date": "2026-03-29", "hours": []}]]),
        "limits": {
            "per_day": draw.choice([2, 4, 10]),
            "per_week": draw.choice([None, None, 2, 4]),
            "per_month": draw.choice([None, None, 3, 5]),
            "minutes_per_week": draw.choice([None, None, 90, 150]),
        },
        "buffers": {"before": draw.choice([0, 0, 30]), "after": draw.choice([0, 0, 15])},
        "notice": draw.choice([0, 0, 600]),
        "attributes": {"language": draw.choice([["en"], ["en", "de"]]), "tier": draw.choice([1, 2])},
        "score": draw.choice([None, 0.4, 0.9]),
    }


def a_calendar(draw: Random) -> Settings:
    """Return settings of a calendar."""
    return {
        "name": "Calendar",
        "slug": None,
        "description": "",
        "slot_duration": draw.choice([30, 30, 60, 45]),
        "slot_interval": draw.choice([15, 30]),
        "buffers": {"before": draw.choice([0, 15]), "after": draw.choice([0, 0, 30])},
        "notice": draw.choice([0, 60]),
        "horizon": draw.choice([3, 60]),
        "time_zone": draw.choice(ZONES),
        "max_per_day": draw.choice([None, None, 6]),
        "blocked_dates": draw.choice([[], [], [], ["2026-03-08"]]),
        "hour_kinds": draw.choice(KINDS),
        "policy": draw.choice(["fair_share", "fair_share", "highest_score"]),
        "fairness": {
            "gamma": draw.choice([0, 4]),
            "low": 0.5,
            "high": 2,
            "prior_strength": 16,
            "half_life_days": 60,
        },
        "conflict_policy": "keep",
        "requires": draw.choice([[], [], *RULES]),
        "active": True,
    }


def a_place(draw: Random) -> Settings:
    """Return settings of a coach's place in a team."""
    return {
        "weight": draw.choice([1, 1, 2, 0.5]),
        "buffers": {"before": draw.choice([0, 0, 0, 45]), "after": draw.choice([0, 0, 15])},
        "notice": draw.choice([0, 0, 900]),
    }
