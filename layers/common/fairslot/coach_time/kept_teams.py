"""Teams' times that are kept, in the process and in Valkey, until their calendar is asked about again.

A kept team need not be new: who uses it takes over what changed since its snapshot. It must be one that was
read from this database, though, with its own snapshot. In Valkey it is sealed with a key that only the
database has, and loses in a crash: an older copy that is put there is only slower, anything else is refused.
"""

import hashlib
import json
from collections import OrderedDict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from fairslot.coach_time.packed_team import pack, seal, unpack, unseal
from fairslot.coach_time.team_time import TeamTime
from fairslot.platform import cache
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.platform.settings import settings

if TYPE_CHECKING:
    from redis import Redis

_SQL = queries("bookable_starts")
# Much shorter than changes are stored, which is an hour.
_LIFE = timedelta(minutes=15)
# A larger team is read from the database about as fast.
_LARGEST_IN_VALKEY = 1024 * 1024
# About what an object takes beside the bits: a team, a coach's id and number, a slot's count.
_TEAM_BYTES, _COACH_BYTES, _SLOT_BYTES = 2_000, 250, 40


def page_key(connection: Connection) -> str:
    """Return the database's key for what is kept, in hex; it is made if there is none."""
    row = connection.execute(_SQL["page_key"]).fetchone()
    if row is None:  # made by another session at this moment
        row = connection.execute(_SQL["page_key"]).fetchone()
    return str(row["key"]) if row else ""


class KeptTeams:
    """What a process keeps: at most `page_cache_bytes`, of which the least recently used go first.

    The time of one calendar's team is one entry, from the slot in which it was read.
    """

    SLOTS_AHEAD: ClassVar = _LIFE // timedelta(minutes=15) + 1  # by how much an entry must reach further

    def __init__(self) -> None:
        self.size = 0
        self._teams: OrderedDict[tuple[str, str], tuple[TeamTime, datetime, int]] = OrderedDict()
        self._key: str | None = None

    def __contains__(self, calendar: tuple[str, str]) -> bool:
        """Tell whether a tenant's calendar is kept in the process."""
        return calendar in self._teams

    def find(
        self, connection: Connection, tenant_id: str, calendar_id: str, *, now: datetime
    ) -> TeamTime | None:
        """Return what is kept of a calendar, in the process or in Valkey."""
        if not settings().page_cache_bytes:
            return None
        entry = self._teams.get((tenant_id, calendar_id))
        found = entry[:2] if entry else self._from_valkey(connection, tenant_id, calendar_id)
        if found is None or abs(now - found[1]) > _LIFE:
            self.drop(tenant_id, calendar_id)
            return None
        team, kept_at = found
        self._put(tenant_id, team, kept_at)
        return team

    def is_current(self, key: str | None) -> bool:
        """Tell whether the database still has the key that it had; otherwise forget everything."""
        if key is not None and key == self._key:
            return True
        self._teams.clear()
        self.size, self._key = 0, None
        return False

    def keep(self, connection: Connection, tenant_id: str, team: TeamTime, *, now: datetime) -> None:
        """Keep a team that was just read."""
        if not settings().page_cache_bytes:
            return
        key, name = self._sealing(connection, tenant_id, team.calendar_id)
        self._put(tenant_id, team, now)
        if cache.is_in_use() and len(team.free) + len(team.open) <= _LARGEST_IN_VALKEY:
            value = seal(key, name, pack(team, now))
            cache.ask(lambda valkey: valkey.set(name, value, ex=_LIFE))

    def weigh(self, tenant_id: str, calendar_id: str) -> None:
        """Count again how much a team takes, with the texts that were made of it."""
        entry = self._teams.get((tenant_id, calendar_id))
        if entry is not None:
            self._put(tenant_id, *entry[:2])

    def drop(self, tenant_id: str, calendar_id: str) -> None:
        """Forget a calendar."""
        entry = self._teams.pop((tenant_id, calendar_id), None)
        if entry is not None:
            self.size -= entry[2]

    def _put(self, tenant_id: str, team: TeamTime, kept_at: datetime) -> None:
        self.drop(tenant_id, team.calendar_id)
        size = _size(team)
        self._teams[tenant_id, team.calendar_id] = (team, kept_at, size)
        self.size += size
        while self.size > settings().page_cache_bytes:
            self.drop(*next(iter(self._teams)))

    def _from_valkey(
        self, connection: Connection, tenant_id: str, calendar_id: str
    ) -> tuple[TeamTime, datetime] | None:
        if not cache.is_in_use():
            return None
        key, name = self._sealing(connection, tenant_id, calendar_id)
        value = cache.ask(lambda valkey: _bytes_of(valkey, name))
        packed = unseal(key, name, value) if isinstance(value, bytes) else None
        return None if packed is None else unpack(packed)

    def _sealing(self, connection: Connection, tenant_id: str, calendar_id: str) -> tuple[str, str]:
        """Return the key, and the name of a calendar's entry in Valkey, which several databases may share."""
        if self._key is None:
            self._key = page_key(connection)
        database = hashlib.sha256(self._key.encode()).hexdigest()[:16]
        return self._key, f"team:{database}:{json.dumps([tenant_id, calendar_id])}"


def _bytes_of(valkey: "Redis", name: str) -> Any:
    """Read a value as it is: the client decodes all others as text."""
    from redis.client import NEVER_DECODE

    return valkey.execute_command("GET", name, **{NEVER_DECODE: True})  # type: ignore[no-untyped-call]  # the library leaves it untyped


def _size(team: TeamTime) -> int:
    """Return about how many bytes of memory a team takes."""
    texts = sum(len(part) for text in team.texts.values() for part in text if isinstance(part, str | bytes))
    rows = len(team.free) + len(team.open) + (len(team.full) + len(team.closed)) * team.window.size
    coaches = len(team.coaches) + sum(len(part.numbers) for part in team.parts.values())
    slots = sum(len(counts) for one in team.parts_counted for counts in (one.counts, *one.late.values()))
    slots += 0 if team.whole else team.window.width  # somebody will ask
    return _TEAM_BYTES + rows + coaches * _COACH_BYTES + len(team.own) * 4 + slots * _SLOT_BYTES + texts
