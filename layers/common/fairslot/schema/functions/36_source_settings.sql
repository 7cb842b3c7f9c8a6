-- Sources as an operator sets and sees them.

-- How a source is: what its provider ended it as; new before its first reading, and stale 15 minutes after its last good one.
CREATE OR REPLACE FUNCTION engine.source_state(s calendar_sources, p_now timestamptz) RETURNS text LANGUAGE sql STABLE
    RETURN CASE WHEN s.ended IS NOT NULL THEN s.ended
                WHEN NOT s.reads THEN 'ok'
                WHEN coalesce(s.synced_at, s.first_requested_at, s.created_at) < p_now - interval '15 minutes' THEN 'stale'
                WHEN s.synced_at IS NULL THEN 'new' ELSE 'ok' END;

-- What is set of a source as the API shows it. Credentials never are.
CREATE OR REPLACE FUNCTION engine.calendar_source_json(s calendar_sources) RETURNS jsonb LANGUAGE sql STABLE
    RETURN jsonb_build_object(
        'source_id', s.source_id, 'coach_id', s.coach_id, 'kind', s.kind, 'url', s.url, 'calendar_ref', s.calendar_ref,
        'username', s.username, 'reads', s.reads, 'writes', s.writes);

-- How a source goes as the API shows it. It is read next by the schedule, unless it is not before somebody acts.
CREATE OR REPLACE FUNCTION engine.source_health(s calendar_sources, p_now timestamptz) RETURNS jsonb LANGUAGE sql STABLE
    RETURN jsonb_build_object(
        'state', engine.source_state(s => s, p_now => p_now), 'synced_at', engine.zulu(s.synced_at),
        'failed_at', engine.zulu(s.failed_at), 'error_code', s.error, 'unreadable_events', s.unreadable_events,
        'next_read_at', CASE WHEN s.reads AND s.ended IS NULL THEN engine.zulu(greatest(
            s.next_at, p_now, (SELECT one.open_until FROM calendar_providers AS one WHERE one.provider = s.provider))) END,
        'generation', s.generation);

-- A source as the audit shows it: of its address the host alone, as the rest can be a secret.
CREATE OR REPLACE FUNCTION engine.audited_source(s calendar_sources) RETURNS jsonb LANGUAGE sql STABLE
    RETURN engine.calendar_source_json(s) - 'source_id' - 'coach_id'
           || jsonb_build_object('url', regexp_replace(s.url, '^([A-Za-z]+://[^/?#]+).*$', '\1/…'),
                                 'generation', s.generation);

-- Adds sources to coaches of the tenant: p_settings is an array with those of each, and credentials where it has some. No row
-- for a coach that there is not. It is one statement for all, after which rosters are made again once.
CREATE OR REPLACE FUNCTION engine.add_calendar_sources(
    p_tenant text, p_coaches text[], p_sources uuid[], p_settings jsonb, p_now timestamptz
) RETURNS SETOF uuid LANGUAGE sql SECURITY DEFINER AS $$
    INSERT INTO calendar_sources (source_id, tenant_id, coach_id, kind, url, calendar_ref, username, reads, writes,
                                  credentials, created_at, updated_at)
    SELECT given.source_id, p_tenant, coach.coach_id, one.kind, one.url, one.calendar_ref, one.username, one.reads,
           one.writes, one.credentials, p_now, p_now
      FROM ROWS FROM (unnest(p_coaches), unnest(p_sources), jsonb_array_elements(p_settings))
           AS given (coach_id, source_id, settings)
      JOIN coaches AS coach USING (coach_id)
     CROSS JOIN LATERAL jsonb_populate_record(NULL::calendar_sources, given.settings) AS one
     WHERE coach.tenant_id = p_tenant AND coach.deleted_at IS NULL
    RETURNING source_id
$$;

-- Sets what a source of a coach of the tenant is; no row where there is no such one. Another address, account or calendar was
-- never read, and neither was one that was not read for a while; other credentials are tried at once.
CREATE OR REPLACE FUNCTION engine.set_calendar_source(
    p_tenant text, p_coach text, p_source uuid, p_settings jsonb, p_sets_credentials boolean, p_credentials text,
    p_now timestamptz
) RETURNS SETOF uuid LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_old  calendar_sources;
    v_new  calendar_sources := jsonb_populate_record(NULL::calendar_sources, p_settings);
    v_else boolean;
BEGIN
    SELECT * INTO v_old FROM calendar_sources
     WHERE source_id = p_source AND coach_id = p_coach AND tenant_id = p_tenant FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    v_else := (v_old.kind, v_old.url, v_old.calendar_ref, v_old.username)
              IS DISTINCT FROM (v_new.kind, v_new.url, v_new.calendar_ref, v_new.username)
              OR v_new.reads AND NOT v_old.reads;
    IF v_else THEN
        DELETE FROM source_answers WHERE source_id = p_source;
    END IF;
    UPDATE calendar_sources AS source
       SET kind = v_new.kind, url = v_new.url, calendar_ref = v_new.calendar_ref, username = v_new.username,
           reads = v_new.reads, writes = v_new.writes, updated_at = p_now,
           credentials = CASE WHEN p_sets_credentials THEN p_credentials ELSE source.credentials END
     WHERE source.source_id = p_source;
    IF v_else OR p_sets_credentials THEN
        PERFORM engine.begin_again(p_source => p_source, p_unread => v_else);
    END IF;
    RETURN NEXT p_source;
END $$;

-- Has a source tried again at once, as what it is read with, or where, is another: what is on its way no longer counts. p_unread:
-- nothing that was read before counts either.
CREATE OR REPLACE FUNCTION engine.begin_again(p_source uuid, p_unread boolean) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE calendar_sources
       SET generation = generation + 1, ended = NULL, failures = 0, failed_at = NULL, error = NULL, requested_at = NULL,
           next_at = 'epoch', tag = NULL,
           first_requested_at = CASE WHEN NOT p_unread THEN first_requested_at END,
           synced_at = CASE WHEN NOT p_unread THEN synced_at END,
           unreadable_events = CASE WHEN p_unread THEN 0 ELSE unreadable_events END
     WHERE source_id = p_source
$$;

-- Deletes a source of a coach of the tenant with its answer. The time that no other one takes is free again.
CREATE OR REPLACE FUNCTION engine.delete_calendar_source(p_tenant text, p_coach text, p_source uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER AS $$
    DELETE FROM calendar_sources WHERE source_id = p_source AND coach_id = p_coach AND tenant_id = p_tenant
$$;
