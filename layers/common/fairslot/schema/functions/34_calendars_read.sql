-- Coaches' own calendars: whose is asked for, and events that are told.

-- Claims the coaches whose calendar should be read again.
CREATE OR REPLACE FUNCTION engine.claim_due_coaches(p_before timestamptz, p_now timestamptz)
    RETURNS TABLE (coach_id text, calendar_kind text, calendar_url text, time_zone text)
    LANGUAGE sql SECURITY DEFINER AS $$
    WITH due AS (
        SELECT coach.coach_id, coach.calendar_kind, coach.calendar_url, coach.time_zone
          FROM coaches AS coach LEFT JOIN coach_syncs AS sync USING (coach_id)
         WHERE coach.active AND coach.calendar_kind <> 'none'
           AND (sync.requested_at IS NULL OR sync.requested_at <= p_before)
         ORDER BY coach.coach_id
    ), claimed AS (
        INSERT INTO coach_syncs AS sync (coach_id, first_requested_at, requested_at)
        SELECT coach_id, p_now, p_now FROM due
        ON CONFLICT (coach_id) DO UPDATE
           SET requested_at = excluded.requested_at,
               first_requested_at = coalesce(sync.first_requested_at, excluded.first_requested_at)
         WHERE sync.requested_at IS NULL OR sync.requested_at <= p_before
        RETURNING coach_id
    )
    SELECT due.* FROM due JOIN claimed USING (coach_id)
$$;

-- Claims the tenant's coaches of calendars whose own calendar was never requested.
CREATE OR REPLACE FUNCTION engine.claim_first_syncs(p_tenant text, p_calendars text[], p_now timestamptz)
    RETURNS TABLE (coach_id text, calendar_kind text, calendar_url text, time_zone text)
    LANGUAGE sql SECURITY DEFINER AS $$
    WITH fresh AS (
        SELECT coach.coach_id, coach.calendar_kind, coach.calendar_url, coach.time_zone
          FROM coaches AS coach LEFT JOIN coach_syncs AS sync USING (coach_id)
         WHERE coach.active AND coach.calendar_kind <> 'none' AND sync.first_requested_at IS NULL
           AND coach.tenant_id = p_tenant
           AND coach.coach_id IN (SELECT coach_id FROM coach_calendars WHERE calendar_id = ANY (p_calendars))
         ORDER BY coach.coach_id
    ), claimed AS (
        INSERT INTO coach_syncs AS sync (coach_id, first_requested_at, requested_at)
        SELECT coach_id, p_now, p_now FROM fresh
        ON CONFLICT (coach_id) DO UPDATE
           SET requested_at = excluded.requested_at, first_requested_at = excluded.first_requested_at
         WHERE sync.first_requested_at IS NULL
        RETURNING coach_id
    )
    SELECT fresh.* FROM fresh JOIN claimed USING (coach_id)
$$;

-- Requests readings for those coaches of the tenant, null: of any, that have none to come, now or a pause after the last
-- request. A reading to come will see what has changed by now.
CREATE OR REPLACE FUNCTION engine.request_syncs(p_tenant text, p_coaches text[], p_now timestamptz, p_pause interval)
    RETURNS TABLE (coach_id text, calendar_kind text, calendar_url text, time_zone text, requested_at timestamptz)
    LANGUAGE sql SECURITY DEFINER AS $$
    WITH wanted AS (
        SELECT coach_id, calendar_kind, calendar_url, time_zone FROM coaches
         WHERE active AND calendar_kind <> 'none' AND coach_id = ANY (p_coaches)
           AND (p_tenant IS NULL OR tenant_id = p_tenant)
         ORDER BY coach_id
    ), noted AS (
        INSERT INTO coach_syncs AS sync (coach_id, first_requested_at, requested_at)
        SELECT coach_id, p_now, p_now FROM wanted
        ON CONFLICT (coach_id) DO UPDATE
           SET requested_at = CASE WHEN sync.requested_at BETWEEN p_now - p_pause AND p_now
                                   THEN sync.requested_at + p_pause ELSE excluded.requested_at END,
               first_requested_at = coalesce(sync.first_requested_at, excluded.first_requested_at)
         WHERE sync.requested_at IS NULL OR sync.requested_at <= p_now OR sync.requested_at > p_now + p_pause
        RETURNING coach_id, requested_at
    )
    SELECT wanted.*, noted.requested_at FROM wanted JOIN noted USING (coach_id)
$$;

-- Notes that a calendar could not be read; the slots of its last reading stay.
CREATE OR REPLACE FUNCTION engine.note_sync_failed(p_fetched_at timestamptz, p_error text, p_coach text) RETURNS void
    LANGUAGE sql SECURITY DEFINER AS $$
    INSERT INTO coach_syncs AS sync (coach_id, failed_at, failures, error)
    SELECT coach_id, p_fetched_at, 1, p_error FROM coaches WHERE coach_id = p_coach AND active
    ON CONFLICT (coach_id) DO UPDATE
       SET failed_at = excluded.failed_at, failures = sync.failures + 1, error = excluded.error
     WHERE sync.synced_at IS NULL OR sync.synced_at < excluded.failed_at
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
