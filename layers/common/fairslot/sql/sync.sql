-- name: due
-- Claims the coaches whose calendar should be read again.
SELECT * FROM engine.claim_due_coaches(p_before => %(before)s, p_now => %(now)s);

-- name: claim_first
-- Claims the tenant's coaches of calendars whose own calendar was never requested.
SELECT * FROM engine.claim_first_syncs(p_tenant => %(tenant)s, p_calendars => %(calendars)s, p_now => %(now)s);

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
SELECT * FROM engine.request_syncs(p_tenant => %(tenant)s, p_coaches => %(coaches)s, p_now => %(now)s, p_pause => %(pause)s);

-- name: failed
-- Notes that a calendar could not be read; the slots of its last reading stay.
SELECT engine.note_sync_failed(p_fetched_at => %(fetched_at)s, p_error => %(error)s, p_coach => %(coach)s);
