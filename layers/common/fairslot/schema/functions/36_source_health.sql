-- Readings that failed, and providers that do not answer: docs/decisions/0138.

-- Whether a failure is the provider's word, and not one of the way there.
CREATE OR REPLACE FUNCTION engine.was_answered(p_error text) RETURNS boolean LANGUAGE sql IMMUTABLE
    RETURN p_error NOT IN ('timeout', 'connection') AND p_error !~ '^http_5';

-- Whether the provider was asked at all: null is a reading.
CREATE OR REPLACE FUNCTION engine.was_asked(p_error text) RETURNS boolean LANGUAGE sql IMMUTABLE
    RETURN p_error IS NULL OR p_error NOT IN ('secret_unavailable', 'unknown_kind', 'invalid_url', 'blocked_address');

-- What is due next after some failures in a row: 30 s, doubling up to 15 minutes, give or take a fifth.
CREATE OR REPLACE FUNCTION engine.retry_after(p_failures integer) RETURNS interval LANGUAGE sql
    RETURN least(30 * 2 ^ least(p_failures - 1, 10), 900) * (0.8 + 0.4 * random()) * interval '1 second';

-- The calendars in whose team a coach is, as events name them.
CREATE OR REPLACE FUNCTION engine.calendars_named(p_coach text) RETURNS jsonb LANGUAGE sql STABLE
    RETURN (SELECT coalesce(jsonb_agg(calendar_id ORDER BY calendar_id), '[]') FROM coach_calendars WHERE coach_id = p_coach);

-- Tells the tenant that a source has to be connected again, and by what link, if a coach can.
CREATE OR REPLACE FUNCTION engine.tell_disconnected(s calendar_sources, p_error text, p_reconnect_url text) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM engine.record_change(
        p_tenant => s.tenant_id, p_type => 'calendar.disconnected', p_details => jsonb_build_object(
        'coach_id', s.coach_id, 'source_id', s.source_id, 'kind', s.kind, 'error', p_error,
        'synced_at', engine.zulu(s.synced_at), 'reconnect_url',
        CASE WHEN s.kind IN ('caldav', 'google', 'microsoft') THEN p_reconnect_url END,
        'calendar_ids', engine.calendars_named(s.coach_id)));
END $$;

-- Notes that a source could not be read: its last answer stays. It is asked again after p_after seconds at the earliest, and not
-- before somebody acts if the provider has p_ended it; the tenant is told when that disconnects it, and by what link it is
-- connected again (p_reconnect_url), if a coach can.
CREATE OR REPLACE FUNCTION engine.note_source_failed(
    p_coach text, p_source uuid, p_generation integer, p_fetched_at timestamptz, p_error text, p_after double precision,
    p_ended text, p_reconnect_url text
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_source calendar_sources;
    v_ended  text := CASE WHEN engine.was_answered(p_error) THEN p_ended END;
BEGIN
    SELECT source.* INTO v_source
      FROM engine.source_of_reading(p_coach => p_coach, p_source => p_source, p_generation => p_generation) AS source
      JOIN coaches AS coach USING (coach_id) WHERE coach.active;
    IF NOT FOUND OR greatest(v_source.synced_at, v_source.failed_at) >= p_fetched_at OR v_source.ended IS NOT NULL THEN
        RETURN;
    END IF;
    UPDATE calendar_sources
       SET failed_at = p_fetched_at, failures = failures + 1, error = p_error, ended = v_ended,
           next_at = p_fetched_at + greatest(p_after * interval '1 second', engine.retry_after(failures + 1))
     WHERE source_id = v_source.source_id;
    PERFORM engine.refresh_sync(p_coach);
    IF v_ended = 'disconnected' THEN
        PERFORM engine.tell_disconnected(s => v_source, p_error => p_error, p_reconnect_url => p_reconnect_url);
    END IF;
END $$;

-- Counts how a source's provider answered, over all its sources: after p_most failures in a row without an answer the breaker
-- opens for p_pause, twice as long each time, up to p_longest. An answer closes it; what waited since is spread over
-- p_interval, as all at once could be too much. Sources that somebody has locked are left as they are.
CREATE OR REPLACE FUNCTION engine.note_provider(
    p_coach text, p_source uuid, p_error text, p_most integer, p_pause interval, p_longest interval, p_interval interval,
    p_now timestamptz
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_provider text := (SELECT provider FROM calendar_sources WHERE source_id = p_source AND coach_id = p_coach);
    v_was_open boolean;
BEGIN
    IF v_provider IS NULL OR NOT engine.was_asked(p_error) THEN
        RETURN;
    ELSIF NOT engine.was_answered(p_error) THEN
        INSERT INTO calendar_providers AS known (provider, failures, failed_at) VALUES (v_provider, 1, p_now)
        ON CONFLICT (provider) DO UPDATE
           SET failures = known.failures + 1, failed_at = excluded.failed_at,
               open_until = CASE WHEN known.failures + 1 >= p_most THEN
                   p_now + least(p_pause * 2 ^ least(known.failures + 1 - p_most, 20), p_longest) END
         WHERE known.open_until IS NULL OR known.failed_at + p_pause <= excluded.failed_at;
        RETURN;
    ELSIF NOT EXISTS (SELECT FROM calendar_providers WHERE provider = v_provider) THEN
        RETURN;
    END IF;
    DELETE FROM calendar_providers WHERE provider = v_provider RETURNING open_until IS NOT NULL INTO v_was_open;
    IF v_was_open THEN
        UPDATE calendar_sources
           SET next_at = engine.next_poll(p_source => source_id, p_after => p_now - p_interval / 4, p_interval => p_interval)
         WHERE source_id IN (SELECT source_id FROM calendar_sources
                              WHERE provider = v_provider AND next_at <= p_now + p_interval
                              ORDER BY source_id FOR NO KEY UPDATE SKIP LOCKED);
    END IF;
END $$;
