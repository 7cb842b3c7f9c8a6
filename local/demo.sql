-- name: count_coaches
-- How many coaches there are.
SELECT count(*) AS n FROM coaches;

-- name: add_key
-- An API key, by its hash.
INSERT INTO api_keys (tenant_id, key_hash, label, scopes, rate_limit)
VALUES (%(tenant)s, %(hash)s, %(label)s, %(scopes)s, %(rate_limit)s);

-- name: add_coach
-- A coach.
INSERT INTO coaches (coach_id, tenant_id, name, time_zone, score, max_per_day, working_hours, calendar_kind, calendar_url)
VALUES (%(coach)s, %(tenant)s, %(name)s, %(time_zone)s, %(score)s, %(max_per_day)s, %(working_hours)s, %(kind)s, %(url)s);

-- name: add_calendar
-- A calendar.
INSERT INTO calendars (calendar_id, tenant_id, name, slot_duration, slot_interval)
VALUES (%(calendar)s, %(tenant)s, %(name)s, %(duration)s, %(interval)s);

-- name: join_team
-- Coaches join a calendar's team, with no credit and no debt.
INSERT INTO coach_calendars (calendar_id, coach_id) SELECT %(calendar)s, unnest(%(coaches)s::text[])
ON CONFLICT DO NOTHING;

-- name: has_coach
-- Whether there is this coach.
SELECT FROM coaches WHERE coach_id = %(coach)s;

-- name: add_source
-- A coach's own calendar at a provider, with its credentials as ciphertext.
INSERT INTO calendar_sources (source_id, tenant_id, coach_id, kind, url, calendar_ref, username, credentials, reads, writes)
VALUES (%(source)s, %(tenant)s, %(coach)s, %(kind)s, %(url)s, %(calendar_ref)s, %(username)s, %(credentials)s, true, true);

-- name: move_source
-- Where a coach's calendar is: at another port than before, if that was taken. What was written is looked for there.
WITH moved AS (
    UPDATE calendar_sources SET url = %(url)s, calendar_ref = %(calendar_ref)s
     WHERE source_id = %(source)s AND (url IS DISTINCT FROM %(url)s OR calendar_ref IS DISTINCT FROM %(calendar_ref)s)
    RETURNING source_id)
UPDATE calendar_events SET ref = NULL WHERE source_id IN (SELECT source_id FROM moved);
