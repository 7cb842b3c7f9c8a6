-- Coaches' own calendars: whose is asked for, and events that are told. How a source's health goes on: 36_source_health.sql.

-- When a source is polled next: its own second of each interval, so that many are polled evenly, and a quarter of one after
-- p_after at the earliest.
CREATE OR REPLACE FUNCTION engine.next_poll(p_source uuid, p_after timestamptz, p_interval interval) RETURNS timestamptz
    LANGUAGE sql STABLE
    RETURN (SELECT to_timestamp(begun + 1 + ((phase - begun - 1) % length + length) % length)
              FROM (SELECT given.length, hashtextextended(p_source::text, 0) % given.length AS phase,
                           floor(date_part('epoch', p_after) + given.length / 4.0)::bigint AS begun
                      FROM (SELECT greatest(1, date_part('epoch', p_interval))::bigint) AS given (length)) AS one);

-- Whether a source's provider has an open breaker.
CREATE OR REPLACE FUNCTION engine.is_open(p_provider text, p_now timestamptz) RETURNS boolean LANGUAGE sql STABLE
    RETURN EXISTS (SELECT FROM calendar_providers AS one WHERE one.provider = p_provider AND one.open_until > p_now);

-- Claims the sources that are to be read again: of a provider whose breaker lets one try through, the one that waits longest,
-- and the next after p_pause; p_most of all, who wait longest first. Sources whose changes are told are polled every
-- p_told_interval.
CREATE OR REPLACE FUNCTION engine.claim_due_sources(
    p_interval interval, p_told_interval interval, p_pause interval, p_most integer, p_now timestamptz
) RETURNS SETOF calendar_sources LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_due uuid[];
    v_new text[];
BEGIN
    v_due := ARRAY(
        SELECT due.source_id
          FROM (SELECT source.source_id, source.provider, source.next_at,
                       row_number() OVER (PARTITION BY source.provider ORDER BY source.next_at, source.source_id) AS place
                  FROM calendar_sources AS source JOIN coaches AS coach USING (coach_id)
                 WHERE source.reads AND source.ended IS NULL AND source.next_at <= p_now AND coach.active
                   AND NOT engine.is_open(p_provider => source.provider, p_now => p_now)) AS due
         WHERE due.place = 1
            OR NOT EXISTS (SELECT FROM calendar_providers AS tried
                            WHERE tried.provider = due.provider AND tried.open_until IS NOT NULL)
         ORDER BY due.next_at, due.source_id LIMIT p_most);
    v_due := ARRAY(SELECT source_id FROM calendar_sources
                    WHERE source_id = ANY (v_due) AND next_at <= p_now AND ended IS NULL
                    ORDER BY source_id FOR NO KEY UPDATE SKIP LOCKED);
    v_new := ARRAY(SELECT coach_id FROM calendar_sources
                    WHERE source_id = ANY (v_due) AND first_requested_at IS NULL ORDER BY coach_id);
    RETURN QUERY
    UPDATE calendar_sources
       SET requested_at = p_now, first_requested_at = coalesce(first_requested_at, p_now),
           next_at = engine.next_poll(p_source => source_id, p_after => p_now,
                                      p_interval => CASE WHEN pushed_until > p_now THEN p_told_interval ELSE p_interval END)
     WHERE source_id = ANY (v_due)
    RETURNING *;
    UPDATE calendar_providers SET open_until = p_now + p_pause
     WHERE open_until <= p_now
       AND provider IN (SELECT provider FROM calendar_sources WHERE source_id = ANY (v_due));
    PERFORM engine.refresh_sync(one) FROM unnest(v_new) AS one;
END $$;

-- Claims the sources of the tenant's coaches of calendars that were never asked for.
CREATE OR REPLACE FUNCTION engine.claim_first_sources(
    p_tenant text, p_calendars text[], p_interval interval, p_now timestamptz
) RETURNS SETOF calendar_sources LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_first uuid[] := ARRAY(
        SELECT source.source_id
          FROM calendar_sources AS source JOIN coaches AS coach USING (coach_id)
         WHERE source.reads AND source.ended IS NULL AND source.first_requested_at IS NULL AND coach.active
           AND coach.tenant_id = p_tenant
           AND coach.coach_id IN (SELECT coach_id FROM coach_calendars WHERE calendar_id = ANY (p_calendars))
         ORDER BY source.source_id FOR NO KEY UPDATE OF source SKIP LOCKED);
BEGIN
    RETURN QUERY
    UPDATE calendar_sources
       SET requested_at = p_now, first_requested_at = p_now,
           next_at = engine.next_poll(p_source => source_id, p_after => p_now, p_interval => p_interval)
     WHERE source_id = ANY (v_first)
    RETURNING *;
    PERFORM engine.refresh_sync(coach_id)
       FROM (SELECT DISTINCT coach_id FROM calendar_sources WHERE source_id = ANY (v_first) ORDER BY coach_id) AS one;
END $$;

-- Requests readings of those sources that have none to come, now or a pause after the last request. A reading to come will see
-- what has changed by now.
CREATE OR REPLACE FUNCTION engine.request_readings(p_sources uuid[], p_now timestamptz, p_pause interval)
    RETURNS SETOF calendar_sources LANGUAGE plpgsql AS $$
DECLARE
    v_wanted uuid[] := ARRAY(
        SELECT source.source_id
          FROM calendar_sources AS source JOIN coaches AS coach USING (coach_id)
         WHERE coach.active AND source.source_id = ANY (p_sources) AND source.reads AND source.ended IS NULL
           AND (source.requested_at IS NULL OR source.requested_at <= p_now OR source.requested_at > p_now + p_pause)
           AND NOT engine.is_open(p_provider => source.provider, p_now => p_now)
         ORDER BY source.source_id FOR NO KEY UPDATE OF source);
    v_new    text[] := ARRAY(SELECT coach_id FROM calendar_sources
                              WHERE source_id = ANY (v_wanted) AND first_requested_at IS NULL ORDER BY coach_id);
BEGIN
    RETURN QUERY
    UPDATE calendar_sources
       SET requested_at = CASE WHEN requested_at BETWEEN p_now - p_pause AND p_now THEN requested_at + p_pause ELSE p_now END,
           first_requested_at = coalesce(first_requested_at, p_now)
     WHERE source_id = ANY (v_wanted)
    RETURNING *;
    PERFORM engine.refresh_sync(one) FROM unnest(v_new) AS one;
END $$;

-- Requests readings of the sources of those coaches of the tenant, null: of any.
CREATE OR REPLACE FUNCTION engine.request_sources(p_tenant text, p_coaches text[], p_now timestamptz, p_pause interval)
    RETURNS SETOF calendar_sources LANGUAGE sql SECURITY DEFINER AS $$
    SELECT * FROM engine.request_readings(
        p_sources => ARRAY(SELECT source.source_id FROM calendar_sources AS source JOIN coaches AS coach USING (coach_id)
                            WHERE coach.coach_id = ANY (p_coaches) AND (p_tenant IS NULL OR coach.tenant_id = p_tenant)),
        p_now => p_now, p_pause => p_pause)
$$;

-- Stores an event unless its key is known.
CREATE OR REPLACE FUNCTION engine.receive_event(
    p_tenant text, p_key text, p_fingerprint bytea, p_type text, p_body jsonb, p_now timestamptz, p_origin jsonb
) RETURNS TABLE (event_id uuid) LANGUAGE sql SECURITY DEFINER AS $$
    INSERT INTO inbound_events (tenant_id, key, fingerprint, type, body, received_at, origin)
    VALUES (p_tenant, p_key, p_fingerprint, p_type, p_body, p_now, p_origin)
    ON CONFLICT (tenant_id, key) DO NOTHING
    RETURNING event_id
$$;

-- Locks an event that is not processed and not being processed.
CREATE OR REPLACE FUNCTION engine.claim_event(p_event uuid)
    RETURNS TABLE (event_id uuid, tenant_id text, type text, body jsonb, progress jsonb, origin jsonb)
    LANGUAGE sql SECURITY DEFINER AS $$
    SELECT event_id, tenant_id, type, body, progress, origin FROM inbound_events
     WHERE event_id = p_event AND processed_at IS NULL
       FOR NO KEY UPDATE SKIP LOCKED
$$;

-- Stores the outcome of an event.
CREATE OR REPLACE FUNCTION engine.note_event_processed(p_now timestamptz, p_outcome text, p_event uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE inbound_events SET processed_at = p_now, outcome = p_outcome WHERE event_id = p_event
$$;

-- Stores how far an event has been processed.
CREATE OR REPLACE FUNCTION engine.note_event_progress(p_progress jsonb, p_event uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE inbound_events SET progress = p_progress WHERE event_id = p_event
$$;
