-- name: due
-- Claims the coaches whose calendar should be read again.
WITH due AS (
    SELECT coach.coach_id, coach.calendar_kind, coach.calendar_url, coach.time_zone
      FROM coaches AS coach LEFT JOIN coach_syncs AS sync USING (coach_id)
     WHERE coach.active AND coach.calendar_kind <> 'none'
       AND (sync.requested_at IS NULL OR sync.requested_at <= %(before)s)
     ORDER BY coach.coach_id
), claimed AS (
    INSERT INTO coach_syncs AS sync (coach_id, first_requested_at, requested_at)
    SELECT coach_id, %(now)s, %(now)s FROM due
    ON CONFLICT (coach_id) DO UPDATE
       SET requested_at = excluded.requested_at,
           first_requested_at = coalesce(sync.first_requested_at, excluded.first_requested_at)
     WHERE sync.requested_at IS NULL OR sync.requested_at <= %(before)s
    RETURNING coach_id
)
SELECT due.* FROM due JOIN claimed USING (coach_id);

-- name: claim_first
-- Claims those of a calendar's coaches that nobody has ever asked for.
WITH fresh AS (
    SELECT coach.coach_id, coach.calendar_kind, coach.calendar_url, coach.time_zone
      FROM coaches AS coach LEFT JOIN coach_syncs AS sync USING (coach_id)
     WHERE coach.active AND coach.calendar_kind <> 'none' AND sync.first_requested_at IS NULL
       AND coach.coach_id IN (SELECT coach_id FROM coach_calendars WHERE calendar_id = ANY (%(calendars)s))
     ORDER BY coach.coach_id
), claimed AS (
    INSERT INTO coach_syncs AS sync (coach_id, first_requested_at, requested_at)
    SELECT coach_id, %(now)s, %(now)s FROM fresh
    ON CONFLICT (coach_id) DO UPDATE
       SET requested_at = excluded.requested_at, first_requested_at = excluded.first_requested_at
     WHERE sync.first_requested_at IS NULL
    RETURNING coach_id
)
SELECT fresh.* FROM fresh JOIN claimed USING (coach_id);

-- name: pending_first
-- How many of a calendar's coaches wait for an answer to their first request, and since when at the latest.
SELECT count(*) AS pending, max(sync.first_requested_at) AS since
  FROM coaches AS coach JOIN coach_syncs AS sync USING (coach_id)
 WHERE coach.active AND coach.calendar_kind <> 'none' AND sync.synced_at IS NULL AND sync.failures = 0
   AND coach.coach_id IN (SELECT coach_id FROM coach_calendars WHERE calendar_id = ANY (%(calendars)s));

-- name: request
-- Those of these coaches whose calendar is to be read, and when: now, or a while after the last read that was asked for;
-- nobody for whom a read is still to come, as it will see what has changed by now. The caller knows whose they are.
WITH wanted AS (
    SELECT coach_id, calendar_kind, calendar_url, time_zone FROM coaches
     WHERE active AND calendar_kind <> 'none' AND coach_id = ANY (%(coaches)s)
     ORDER BY coach_id
), noted AS (
    INSERT INTO coach_syncs AS sync (coach_id, first_requested_at, requested_at)
    SELECT coach_id, %(now)s, %(now)s FROM wanted
    ON CONFLICT (coach_id) DO UPDATE
       SET requested_at = CASE WHEN sync.requested_at BETWEEN %(now)s - %(pause)s AND %(now)s
                               THEN sync.requested_at + %(pause)s ELSE excluded.requested_at END,
           first_requested_at = coalesce(sync.first_requested_at, excluded.first_requested_at)
     WHERE sync.requested_at IS NULL OR sync.requested_at <= %(now)s OR sync.requested_at > %(now)s + %(pause)s
    RETURNING coach_id, requested_at
)
SELECT wanted.*, noted.requested_at FROM wanted JOIN noted USING (coach_id);

-- name: hours
-- What the days of coaches are made of; null asks for every active one.
SELECT coach_id, tenant_id, time_zone, working_hours, blocked_dates, max_per_day, calendar_kind
  FROM coaches
 WHERE active AND (%(coaches)s::text[] IS NULL OR coach_id = ANY (%(coaches)s))
 ORDER BY coach_id;

-- name: days
-- Each coach's days that end after a slot, in one text.
SELECT coach_id, string_agg(first_slot || '/' || slot_count || '/' || local_date - '1970-01-01'::date, ','
                            ORDER BY first_slot) AS days
  FROM coach_slots
 WHERE coach_id = ANY (%(coaches)s)
   AND first_slot > %(first)s - 104 AND first_slot + slot_count > %(first)s
 GROUP BY coach_id;

-- name: store
-- What a calendar allows, with our own time and without absences; an older reading never overwrites a younger one.
SELECT engine.upsert_days(p_coach => %(coach)s, p_fetched_at => %(fetched_at)s,
                          p_first_slots => %(first_slots)s::integer[], p_slot_counts => %(slot_counts)s::smallint[],
                          p_dates => %(dates)s::date[], p_working => %(working)s::text[],
                          p_external => %(external)s::text[], p_max => %(max_per_day)s::smallint);

-- name: note_unreadable
-- How many events of the reading that is kept could not be read; an older reading has no say.
UPDATE coach_syncs SET unreadable_events = %(unreadable)s
 WHERE coach_id = %(coach)s AND synced_at = %(fetched_at)s AND unreadable_events <> %(unreadable)s;

-- name: extend
-- Days that are not there yet; what a calendar said about days that are stays.
SELECT engine.upsert_days(p_coach => %(coach)s, p_fetched_at => NULL, p_first_slots => %(first_slots)s::integer[],
                          p_slot_counts => %(slot_counts)s::smallint[], p_dates => %(dates)s::date[],
                          p_working => %(working)s::text[], p_external => %(external)s::text[],
                          p_max => %(max_per_day)s::smallint)
 WHERE EXISTS (SELECT FROM coaches WHERE coach_id = %(coach)s AND time_zone = %(time_zone)s);

-- name: recut
-- Puts the days of the coach's zone where those of another were; one transaction.
SELECT engine.recut_days(p_coach => %(coach)s, p_zone => %(time_zone)s, p_from => %(from)s,
                         p_first => %(first_slots)s, p_count => %(slot_counts)s, p_dates => %(dates)s,
                         p_working => %(working)s, p_external => %(external)s, p_max => %(max_per_day)s::smallint),
       engine.apply_absences(p_coach => %(coach)s);

-- name: calendar_zones
-- In which zones calendars mean the days on which nothing may start, and whether the database has them.
SELECT time_zone, time_zone IN (SELECT name FROM pg_timezone_names) AS known
  FROM (SELECT DISTINCT time_zone FROM calendars
         WHERE active AND (max_per_day IS NOT NULL OR blocked_dates <> '{}')) AS used
 ORDER BY time_zone;

-- name: days_apart
-- Those days that begin at another slot by the database's own zones.
SELECT given.on_day FROM unnest(%(dates)s::date[], %(first_slots)s::integer[]) AS given (on_day, first_slot)
 WHERE engine.slot_of(engine.day_start(p_zone => %(time_zone)s, p_day => given.on_day)) <> given.first_slot;

-- name: failed
-- A calendar could not be read; its last slots stay.
INSERT INTO coach_syncs AS sync (coach_id, failed_at, failures, error) VALUES (%(coach)s, %(fetched_at)s, 1, %(error)s)
ON CONFLICT (coach_id) DO UPDATE
   SET failed_at = excluded.failed_at, failures = sync.failures + 1, error = excluded.error
 WHERE sync.synced_at IS NULL OR sync.synced_at < excluded.failed_at;

-- name: begin_absence
-- Shuts a stretch of a coach's time, whatever readings say.
SELECT engine.begin_absence(p_coach => %(coach)s, p_from => %(from)s, p_to => %(to)s, p_event => %(event)s);

-- name: end_absence
-- Gives a stretch of time back to a coach who said not to be there.
SELECT engine.end_absence(p_coach => %(coach)s, p_from => %(from)s, p_to => %(to)s);

-- name: owned
-- Whether the tenant has this coach.
SELECT count(*) AS n FROM coaches WHERE tenant_id = %(tenant)s AND coach_id = %(coach)s;

-- name: forget_days
-- Days that are over.
DELETE FROM coach_slots WHERE first_slot + slot_count <= %(before)s;

-- name: forget_absences
-- Absences that are over as long.
DELETE FROM coach_absences WHERE upper(span) <= engine.instant_of(%(before)s);

-- name: forget_keys
-- Idempotency keys that have expired.
DELETE FROM idempotency_keys WHERE expires_at <= %(now)s;
