"""Nothing that Valkey gives, and no order of commits, makes a page older than what was answered before it."""

from collections.abc import Callable
from datetime import timedelta

import psycopg
import pytest
from redis import Redis

from fairslot.coach_time.kept_teams import KeptTeams, page_key
from fairslot.coach_time.packed_team import pack, seal, unpack, unseal
from fairslot.coach_time.read_model import delete_old_changes, fold_changes
from fairslot.platform.db import Connection
from tests.support.availability import list_page
from tests.support.bookings import book
from tests.support.clock import HOUR, NINE
from tests.support.fixtures import Connect
from tests.support.invariants import check_invariants
from tests.support.kept_teams import close_horizons, entry_of, free_at, listed, names_of, value_of
from tests.support.tables import count, one_row
from tests.support.team import add_calendar, add_coach

THREE = 3
FORGED_KEY = "0" * 64


def test_a_transaction_that_commits_late_is_not_missed(team: Connection, connect: Connect) -> None:
    """One that was under way when the page was read, while later ones had committed."""
    kept, late, other = KeptTeams(), connect(), connect()
    with late.transaction():
        late.execute("SELECT pg_current_xact_id()")
        add_calendar(other, "also", ["coach-02", "coach-03"])
        book(other, NINE + HOUR, calendar_id="also")
        assert free_at(listed(team, kept), NINE) == THREE
        book(late, NINE)
        book(other, NINE + 2 * HOUR, calendar_id="also")
        assert free_at(listed(team, kept), NINE) == THREE
    assert free_at(listed(team, kept), NINE) == THREE - 1
    assert listed(team, kept) == listed(team)


def test_a_late_commit_is_not_folded_away(team: Connection, connect: Connect) -> None:
    """The read model is brought up to date while a change is under way: it is added when it is there."""
    late, other = connect(), connect()
    with late.transaction():
        book(late, NINE)
        add_calendar(other, "also", ["coach-02", "coach-03"])
        book(other, NINE + 2 * HOUR, calendar_id="also")
        fold_changes(team)
    assert free_at(listed(team), NINE) == THREE - 1
    fold_changes(team)
    assert free_at(listed(team), NINE) == THREE - 1
    check_invariants(team)


def test_many_changes_are_folded_step_by_step(team: Connection) -> None:
    """Each step makes some progress, also where one transaction changed more than a step holds."""
    for number in range(6):
        book(team, NINE + number * HOUR)
    team.execute("UPDATE coach_slots SET max_per_day = 5")
    before = listed(team)
    for _ in range(10):
        team.execute("SELECT engine.fold_changes(3)")
        assert listed(team) == before
    row = one_row(
        team,
        "SELECT count(*) AS n FROM availability_changes WHERE of_days AND xid >= engine.folded_snapshot()",
    )
    assert row["n"] == 0
    check_invariants(team)


def test_a_coach_with_many_changed_days_is_folded_at_once(team: Connection) -> None:
    """As when hours change: day by day, two thousand coaches would take seconds."""
    fold_changes(team)
    team.execute(
        "CREATE OR REPLACE FUNCTION engine.update_horizon(p_coach text, p_day integer) RETURNS boolean"
        " LANGUAGE plpgsql AS $$ BEGIN RAISE 'one by one'; END $$"
    )
    team.execute("UPDATE coach_slots SET max_per_day = 0 WHERE coach_id = 'coach-01'")
    fold_changes(team)
    assert free_at(listed(team), NINE) == THREE - 1
    check_invariants(team)


def test_a_restored_dump_makes_the_read_model_anew(team: Connection) -> None:
    """Transaction numbers of another server say nothing here."""
    book(team, NINE)
    team.execute("UPDATE horizons_folded SET snapshot = '900000000000', rebuilt_to = NULL")
    team.execute("UPDATE coach_horizons SET free = repeat('1', length(free))::varbit")
    assert free_at(listed(team), NINE) == THREE - 1
    check_invariants(team)


def test_old_changes_are_deleted_once_folded(team: Connection) -> None:
    """Those that the read model lacks, and those of the last hour, stay."""
    book(team, NINE)
    now = one_row(team, "SELECT now() AS now")["now"]
    assert delete_old_changes(team, now=now + timedelta(minutes=59)) == 0
    left = count(team, "availability_changes", "xid >= engine.folded_snapshot()")
    assert left > 0
    delete_old_changes(team, now=now + timedelta(minutes=61))
    assert count(team, "availability_changes") == left
    fold_changes(team)
    assert delete_old_changes(team, now=now + timedelta(minutes=61)) == left


def test_a_day_never_moves(team: Connection) -> None:
    """Its old slots would stay bookable in the read model."""
    with pytest.raises(psycopg.errors.RaiseException, match="never change"):
        team.execute("UPDATE coach_slots SET first_slot = first_slot + 1")


def test_a_new_process_begins_with_what_valkey_has(team: Connection, cache: Redis) -> None:
    """It reads no team from the database."""
    first = listed(team, KeptTeams())
    close_horizons(team)
    assert listed(team, KeptTeams()) == first
    cache.flushall()
    assert listed(team, KeptTeams()).total == 0


def test_a_stale_page_in_valkey_is_brought_up_to_date(team: Connection, cache: Redis) -> None:
    """An old entry that is put back shows what was booked since."""
    listed(team, KeptTeams())
    name = entry_of(cache)
    old = value_of(cache, name)
    for _ in range(2):
        book(team, NINE)
        cache.set(name, old)
        assert listed(team, KeptTeams()) == listed(team)
    assert free_at(listed(team, KeptTeams()), NINE) == 1


def test_the_page_of_another_calendar_or_tenant_is_refused(team: Connection, cache: Redis) -> None:
    """An entry is authentic under its own name alone."""
    add_coach(team, "theirs", tenant_id="other")
    add_calendar(team, "other", ["coach-01"])
    listed(team, KeptTeams())
    mine = value_of(cache, entry_of(cache))
    list_page(team, "other", kept=KeptTeams())
    other = next(name for name in names_of(cache) if '"other"]' in name)
    cache.set(other, mine)
    assert list_page(team, "other", kept=KeptTeams()) == list_page(team, "other")
    tenant = other.replace("default", "another").replace('"other"]', '"cal"]')
    cache.set(tenant, mine)
    assert list_page(team, kept=KeptTeams()) == list_page(team)


def test_a_snapshot_of_the_future_is_refused(team: Connection, cache: Redis) -> None:
    """Who can write to Valkey makes an entry that claims to have seen what it has not."""
    listed(team, KeptTeams())
    name = entry_of(cache)
    packed = unseal(page_key(team), name, value_of(cache, name))
    assert packed is not None
    entry, kept_at = unpack(packed)
    entry.snapshot = entry.team_snapshot = "900000000000:900000000000:"
    cache.set(name, seal(FORGED_KEY, name, pack(entry, kept_at)))
    book(team, NINE)
    assert free_at(listed(team, KeptTeams()), NINE) == THREE - 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda value: b"",
        lambda value: b"garbage" * 100,
        lambda value: value[:-1],
        lambda value: value[:40] + bytes([value[40] ^ 1]) + value[41:],
        lambda value: bytes([value[0] ^ 1]) + value[1:],
    ],
    ids=["empty", "garbage", "cut", "a bit of the page", "a bit of the code"],
)
def test_garbage_is_refused(team: Connection, cache: Redis, spoil: Callable[[bytes], bytes]) -> None:
    """Whatever it is, the page comes from the database then."""
    listed(team, KeptTeams())
    name = entry_of(cache)
    cache.set(name, spoil(value_of(cache, name)))
    book(team, NINE)
    assert listed(team, KeptTeams()) == listed(team)


def test_an_entry_of_another_type_is_refused(team: Connection, cache: Redis) -> None:
    """Valkey answers with an error then."""
    listed(team, KeptTeams())
    name = entry_of(cache)
    cache.delete(name)
    cache.lpush(name, "x")
    assert listed(team, KeptTeams()) == listed(team)
