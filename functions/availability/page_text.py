"""Writing a page of bookable starts as JSON."""

import json
from array import array
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import batched
from typing import Any
from zoneinfo import ZoneInfo

from fairslot.coach_time.bookable_starts import Page, Starts
from fairslot.domain.slots import WALL_SLOTS, instant_of
from fairslot.http import pages
from fairslot.http.representation import Representations

_QUARTERS = [f"T{quarter // 4:02}:{quarter % 4 * 15:02}:00Z" for quarter in range(WALL_SLOTS)]
_MOST_TEXTS = 4  # that are kept of a team: the entries and the pages in the forms asked for last


@dataclass(frozen=True, kw_only=True)
class Form:
    """What an entry has beside its instants and its number of coaches, and what the coaches have to meet."""

    zone: str | None
    with_calendar: bool
    with_coaches: bool
    requires: tuple[str, ...] = ()


def represented(page: Page, calendar_id: str | None, form: Form, *, compressed: bool) -> Representations:
    """Return the representations of a page; those of a calendar's last page are kept with its team."""
    text = _written(page, calendar_id, form)
    texts = page.calendars[0].team.texts if calendar_id is not None and page.calendars else {}
    kept: Representations | None = texts.get(form)
    if kept is not None and kept.text == text and (kept.gzip or not compressed):
        return kept
    made = Representations.of(text, compressed=compressed)
    _keep(texts, form, made)
    return made


def _written(page: Page, calendar_id: str | None, form: Form) -> str:
    """Write a page as JSON, as many of its entries as fit into LARGEST_PAGE."""
    left, next_after = pages.LARGEST_PAGE, page.next_after
    entries, last = list[str](), None
    for one in page.calendars:
        text, fitting = _entries(one, form, left, at_least_one=not entries)
        if fitting:
            entries.append(text)
            left -= len(text) + 1
            last = (one.calendar_id, one.slots[fitting - 1])
        if fitting < len(one.slots):
            next_after = last
            break
    synced_at = page.synced_at.strftime("%Y-%m-%dT%H:%M:%SZ") if page.synced_at else None
    tail = {
        "total_available": page.total,
        "synced_at": synced_at,
        "stale": page.stale,
        "next_cursor": pages.cursor(next_after[0], str(next_after[1])) if next_after else None,
    }
    head = json.dumps({"calendar_id": calendar_id}, separators=(",", ":"))[:-1]
    return f'{head},"slots":[{",".join(entries)}],{json.dumps(tail, separators=(",", ":"))[1:]}'


def _entries(one: Starts, form: Form, most: int, *, at_least_one: bool) -> tuple[str, int]:
    """Return the entries of a calendar, joined, and how many: those that fit into `most` characters."""
    # With notices, which depend on the moment, the counts of a version are not always the same.
    counts = array("i", one.counts).tobytes() if one.team.own.notice else b""
    state = (
        one.team.version,
        one.duration,
        most,
        array("i", one.slots).tobytes(),
        counts,
        one.unverified,
    )
    name = ("entries", form)
    kept = one.team.texts.get(name)
    if kept is not None and kept[0] == state:
        return kept[1], kept[2]
    # Few at once where each is long: what does not fit is made for nothing.
    texts = _fitting(
        each_entry(one, form), most, at_once=1 if form.with_coaches else 100, at_least_one=at_least_one
    )
    joined = ",".join(texts)
    _keep(one.team.texts, name, (state, joined, len(texts)))
    return joined, len(texts)


def _fitting(texts: Iterable[str], most: int, *, at_once: int, at_least_one: bool) -> list[str]:
    """Return the first texts that fit into `most` characters, with a comma after each."""
    found = list[str]()
    for batch in batched(texts, at_once, strict=False):
        found += batch
        most -= sum(map(len, batch)) + len(batch)
        if most < 0:
            break
    while most < 0 and len(found) > at_least_one:
        most += len(found.pop()) + 1
    return found


def _keep(texts: dict[Hashable, Any], name: Hashable, made: tuple[Any, ...]) -> None:
    texts.pop(name, None)
    texts[name] = made
    while len(texts) > _MOST_TEXTS:
        del texts[next(iter(texts))]


def each_entry(one: Starts, form: Form, last: str = "") -> Iterable[str]:
    """Write the entries of a calendar, one after the other; `last` are members that all of them have."""
    after = f',"calendar_id":{json.dumps(one.calendar_id)}' if form.with_calendar else ""
    after += last
    if not one.slots:
        return ()
    first_day, last_day = one.slots[0] // WALL_SLOTS, one.slots[-1] // WALL_SLOTS
    base = first_day * WALL_SLOTS
    texts = [text for day in range(first_day, last_day + 1) for text in _day_heads(day, one.duration)]
    heads = [texts[slot - base] for slot in one.slots]
    if form.zone is None and not form.with_coaches:
        return [f"{head}{count}{after}}}" for head, count in zip(heads, one.counts, strict=True)]
    more = _more(one, form)
    starts = zip(heads, one.slots, one.counts, strict=True)
    return (f"{head}{count}{after}{more(slot)}}}" for head, slot, count in starts)


def _more(one: Starts, form: Form) -> Callable[[int], str]:
    """Return what writes the rest of the entry of a slot: the local time and the coaches who are free."""
    zone = ZoneInfo(form.zone) if form.zone else None
    free_coaches = one.free_coaches() if form.with_coaches else None

    def write(slot: int) -> str:
        text = ""
        if zone is not None:
            day, quarter = divmod(slot, WALL_SLOTS)
            text += f',"local_start_time":"{_local_texts(zone, day)[quarter]}"'
        if free_coaches is not None:
            text += f',"coach_ids":{json.dumps(free_coaches(slot), separators=(",", ":"))}'
        return text

    return write


@lru_cache(maxsize=100)
def _day_heads(day: int, duration: int) -> Sequence[str]:
    """Write how the entries of a UTC day begin, up to the number of coaches."""
    heads = list[str]()
    for quarter in range(WALL_SLOTS):
        end_day, end_quarter = divmod(day * WALL_SLOTS + quarter + duration, WALL_SLOTS)
        start, end = _day_texts(day)[quarter], _day_texts(end_day)[end_quarter]
        heads.append(f'{{"start_time":"{start}","end_time":"{end}","available_coaches":')
    return heads


@lru_cache(maxsize=100)
def _day_texts(day: int) -> Sequence[str]:
    """Write the slots of a UTC day as the API writes instants."""
    date = instant_of(day * WALL_SLOTS).date().isoformat()
    return [date + quarter for quarter in _QUARTERS]


@lru_cache(maxsize=100)
def _local_texts(zone: ZoneInfo, day: int) -> Sequence[str]:
    """Write the slots of a UTC day as the clocks of a zone show them, with the offset."""
    first = day * WALL_SLOTS
    return [instant_of(slot).astimezone(zone).isoformat() for slot in range(first, first + WALL_SLOTS)]
