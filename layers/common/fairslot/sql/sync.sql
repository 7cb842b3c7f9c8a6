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
-- Claims the tenant's coaches of calendars whose own calendar was never requested.
WITH fresh AS (
    SELECT coach.coach_id, coach.calendar_kind, coach.calendar_url, coach.time_zone
      FROM coaches AS coach LEFT JOIN coach_syncs AS sync USING (coach_id)
     WHERE coach.active AND coach.calendar_kind <> 'none' AND sync.first_requested_at IS NULL
       AND coach.tenant_id = %(tenant)s
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
-- How many of the tenant's coaches of the calendars still wait for their first reading, and when the last was requested.
SELECT count(*) AS pending, max(sync.first_requested_at) AS since
  FROM coaches AS coach JOIN coach_syncs AS sync USING (coach_id)
 WHERE coach.active AND coach.calendar_kind <> 'none' AND sync.synced_at IS NULL AND sync.failures = 0
   AND coach.tenant_id = %(tenant)s
   AND coach.coach_id IN (SELECT coach_id FROM coach_calendars WHERE calendar_id = ANY (%(calendars)s));

-- name: request
-- Requests readings for those coaches of the tenant, null: of any, that have none to come, now or a pause after the last
-- request. A reading to come will see what has changed by now.
WITH wanted AS (
    SELECT coach_id, calendar_kind, calendar_url, time_zone FROM coaches
     WHERE active AND calendar_kind <> 'none' AND coach_id = ANY (%(coaches)s)
       AND (%(tenant)s::text IS NULL OR tenant_id = %(tenant)s)
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

-- name: failed
-- Notes that a calendar could not be read; the slots of its last reading stay.
INSERT INTO coach_syncs AS sync (coach_id, failed_at, failures, error)
SELECT coach_id, %(fetched_at)s, 1, %(error)s FROM coaches WHERE coach_id = %(coach)s AND active
ON CONFLICT (coach_id) DO UPDATE
   SET failed_at = excluded.failed_at, failures = sync.failures + 1, error = excluded.error
 WHERE sync.synced_at IS NULL OR sync.synced_at < excluded.failed_at;
