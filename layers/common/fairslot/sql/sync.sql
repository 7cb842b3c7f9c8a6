-- name: due
-- Claims so many of the sources that should be read again.
SELECT source.coach_id, source.source_id, source.generation, source.kind, source.url, source.calendar_ref, source.credentials,
       source.requested_at, coach.time_zone
  FROM engine.claim_due_sources(p_interval => %(interval)s, p_told_interval => %(told_interval)s, p_pause => %(pause)s,
                                p_most => %(most)s, p_now => %(now)s) AS source
  JOIN coaches AS coach USING (coach_id) ORDER BY coach_id, source_id;

-- name: claim_first
-- Claims the sources of the tenant's coaches of calendars that were never requested.
SELECT source.coach_id, source.source_id, source.generation, source.kind, source.url, source.calendar_ref, source.credentials,
       source.requested_at, coach.time_zone
  FROM engine.claim_first_sources(p_tenant => %(tenant)s, p_calendars => %(calendars)s, p_interval => %(interval)s,
                                  p_now => %(now)s) AS source
  JOIN coaches AS coach USING (coach_id) ORDER BY coach_id, source_id;

-- name: pending_first
-- How many sources of the tenant's coaches of the calendars still wait for their first reading, and when the last was
-- requested.
SELECT count(*) AS pending, coalesce(max(source.first_requested_at), %(now)s) AS since
  FROM coaches AS coach JOIN calendar_sources AS source USING (coach_id)
 WHERE coach.active AND source.reads AND source.ended IS NULL AND source.synced_at IS NULL AND source.failures = 0
   AND coach.tenant_id = %(tenant)s
   AND coach.coach_id IN (SELECT coach_id FROM coach_calendars WHERE calendar_id = ANY (%(calendars)s));

-- name: request
-- Requests readings of the sources of those coaches of the tenant, null: of any, that have none to come, now or a pause after
-- the last request. A reading to come will see what has changed by now.
SELECT source.coach_id, source.source_id, source.generation, source.kind, source.url, source.calendar_ref, source.credentials,
       source.requested_at, coach.time_zone
  FROM engine.request_sources(p_tenant => %(tenant)s, p_coaches => %(coaches)s, p_now => %(now)s,
                              p_pause => %(pause)s) AS source
  JOIN coaches AS coach USING (coach_id) ORDER BY coach_id, source_id;

-- name: notified
-- Does what a provider's notification asks for, and requests a reading of its source as `request` does.
SELECT source.coach_id, source.source_id, source.generation, source.kind, source.url, source.calendar_ref, source.credentials,
       source.requested_at, coach.time_zone
  FROM engine.note_notification(p_source => %(source)s, p_generation => %(generation)s, p_task => %(task)s, p_now => %(now)s,
                                p_pause => %(pause)s) AS source
  JOIN coaches AS coach USING (coach_id);

-- name: failed
-- Notes that a source could not be read; its last answer stays.
SELECT engine.note_source_failed(p_coach => %(coach)s, p_source => %(source)s, p_generation => %(generation)s,
                                 p_fetched_at => %(fetched_at)s, p_error => %(error)s, p_after => %(after)s,
                                 p_ended => %(ended)s, p_reconnect_url => %(reconnect_url)s);

-- name: note_provider
-- Counts how the provider of a source answered.
SELECT engine.note_provider(p_coach => %(coach)s, p_source => %(source)s, p_error => %(error)s, p_most => %(most)s,
                            p_pause => %(pause)s, p_longest => %(longest)s, p_interval => %(interval)s, p_now => %(now)s);

-- name: renew
-- Stores what a provider has replaced a source's credentials by.
SELECT engine.renew_credentials(p_source => %(source)s, p_generation => %(generation)s, p_credentials => %(credentials)s);
