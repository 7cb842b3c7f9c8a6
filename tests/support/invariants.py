"""What must hold whatever happened: no overlap, bits, counters, credits and records agree."""

from typing import Any

from fairslot.platform.db import Connection
from tools.replay import replay


def check_invariants(connection: Connection, *, lowered: bool = False) -> None:
    """Assert that no appointments overlap, bits and counters agree with them, and credits sum to 0.

    Credits are those of each kind of hour; the row of normal has the number of the last decision.
    What the read model does not have yet is noted as changed, and the tight weeks and months are those that
    refuse appointments. No day, week or month has more than its
    maximum, unless that was `lowered` under what was booked.
    """
    maximum = () if lowered else (_MAXIMUM, _LIMITS)
    rest = (_CREDITS, _LOG, _NUMBERS, _EVENTS, _HORIZONS)
    for statement in (_OVERLAPS, _BITS, _COUNTERS, _PERIODS, _TIGHT, *maximum, *rest):
        assert _all(connection, statement) == []


def check_replay(connection: Connection) -> None:
    """Assert that every calendar's decisions replay, to the credits of now."""
    with connection.transaction():
        for calendar in _all(connection, b"SELECT calendar_id FROM calendars"):
            replay(connection, calendar["calendar_id"])


def credits_of(connection: Connection) -> dict[str, int]:
    """Return every coach's credit."""
    return {row["coach_id"]: row["credit"] for row in _all(connection, b"SELECT * FROM coach_credits")}


def _all(connection: Connection, statement: bytes) -> list[dict[str, Any]]:
    return connection.execute(statement).fetchall()


_OVERLAPS = b"""
    SELECT one.appointment_id, other.appointment_id AS other
      FROM coach_appointments AS one JOIN coach_appointments AS other
        ON one.coach_id = other.coach_id AND one.appointment_id < other.appointment_id
       AND one.takes && other.takes
     WHERE one.status <> 'cancelled' AND other.status <> 'cancelled'"""

_BITS = b"""
    SELECT slot.coach_id, slot.start_time, slot.taken
      FROM coach_slot_list AS slot
     WHERE slot.taken <> EXISTS (
        SELECT FROM coach_appointments AS a
         WHERE a.coach_id = slot.coach_id AND a.status <> 'cancelled'
           AND a.takes && tstzrange(slot.start_time, slot.end_time))"""

_MAXIMUM = b"SELECT coach_id, local_date, booked FROM coach_slots WHERE booked > max_per_day"

_COUNTERS = b"""
    SELECT day.coach_id, day.local_date, day.booked
      FROM coach_slots AS day
     WHERE day.booked <> (
        SELECT count(*) FROM coach_appointments AS a
         WHERE a.coach_id = day.coach_id AND a.status <> 'cancelled'
           AND engine.slot_of(a.start_time) >= day.first_slot
           AND engine.slot_of(a.start_time) < day.first_slot + day.slot_count)"""

_PERIODS = b"""
    SELECT * FROM coach_periods
    EXCEPT
    SELECT one.* FROM coaches CROSS JOIN LATERAL engine.periods_of(coach_id) AS one
     UNION ALL
    (SELECT one.* FROM coaches CROSS JOIN LATERAL engine.periods_of(coach_id) AS one
     EXCEPT
     SELECT * FROM coach_periods)"""

_TIGHT = b"""
    SELECT coach_id, first_slot, kind, length
      FROM coach_periods AS period
      FULL JOIN tight_periods AS tight USING (coach_id, first_slot, kind, end_slot)
     CROSS JOIN generate_series(15, 720, 15) AS length
     WHERE (engine.period_refusal(period, length) IS NOT NULL)
           <> (coalesce(tight.minutes_left, 720) < length) OR period IS NULL"""

_LIMITS = b"SELECT * FROM coach_periods WHERE booked > max_booked OR minutes > max_minutes"

_CREDITS = b"SELECT calendar_id, kind FROM coach_credits GROUP BY calendar_id, kind HAVING sum(credit) <> 0"

_LOG = b"""
    SELECT member.calendar_id, member.kind, member.coach_id, member.credit
      FROM coach_credits AS member
     WHERE member.credit <> coalesce((
        SELECT sum((one ->> 'delta')::bigint)
          FROM distribution_log AS log CROSS JOIN LATERAL jsonb_array_elements(log.candidates) AS one
         WHERE log.calendar_id = member.calendar_id AND one ->> 'coach_id' = member.coach_id
           AND engine.kind_now(log.calendar_id, log.kind, log.seq) = member.kind), 0)"""

_NUMBERS = b"""
    SELECT calendar_id FROM turns AS turn WHERE kind = 'normal'
       AND (seq <> (SELECT coalesce(max(made.seq), 0) FROM changes AS made
                     WHERE made.calendar_id = turn.calendar_id)
            OR seq < (SELECT max(own.seq) FROM turns AS own WHERE own.calendar_id = turn.calendar_id))"""

_EVENTS = b"""
    SELECT a.appointment_id FROM coach_appointments AS a
     WHERE a.status <> 'held' AND a.version <> (SELECT count(*) FROM changes AS event
                          WHERE event.appointment_id = a.appointment_id
                             AND event.type LIKE 'appointment.%')"""

_HORIZONS = b"""
    SELECT day.coach_id, day.local_date
      FROM coach_slots AS day
      LEFT JOIN coach_horizons AS horizon USING (coach_id)
     CROSS JOIN LATERAL (SELECT day.first_slot - horizon.first_slot + 1) AS place (first)
     WHERE engine.folded_snapshot() IS NOT NULL
       AND (place.first < 1
            OR substring(horizon.free, place.first, day.slot_count) <> substring(day.free, 1, day.slot_count)
            OR substring(horizon.open, place.first, day.slot_count) <> substring(day.open, 1, day.slot_count)
            OR coalesce(get_bit(horizon.full_days, place.first - 1), 0)
               <> (day.booked >= day.max_per_day)::integer) IS NOT FALSE
       AND NOT EXISTS (SELECT FROM availability_changes AS change
                        WHERE change.of_days AND change.coach_id = day.coach_id
                          AND (change.first_slot IS NULL OR change.first_slot = day.first_slot)
                          AND change.xid >= engine.folded_snapshot())"""
