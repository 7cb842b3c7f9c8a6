-- Calendars that coaches connect by a link: docs/decisions/0149. What is in a link is `connect_links.py`.

-- A connection as the API shows it, without its link.
CREATE OR REPLACE FUNCTION engine.connection_json(c calendar_connections) RETURNS jsonb LANGUAGE sql STABLE
    RETURN jsonb_build_object(
        'connection_id', c.connection_id, 'coach_id', c.coach_id, 'source_id', c.source_id, 'kind', c.kind,
        'calendar_ref', c.calendar_ref, 'reads', c.reads, 'writes', c.writes, 'expires_at', engine.zulu(c.expires_at));

-- Stores a connection of a coach of the tenant: of p_source where that is one of the coach's, which has its own kind, or of a
-- new source of that id. Null where there is no such coach or, unless p_is_new, no such source. Forgets those that have been
-- over for a month.
CREATE OR REPLACE FUNCTION engine.make_connection(
    p_connection uuid, p_tenant text, p_coach text, p_source uuid, p_is_new boolean, p_kind text, p_calendar_ref text,
    p_reads boolean, p_writes boolean, p_digest bytea, p_expires_at timestamptz, p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_made calendar_connections;
BEGIN
    DELETE FROM calendar_connections WHERE coach_id = p_coach AND expires_at < p_now - interval '30 days';
    INSERT INTO calendar_connections AS made (connection_id, tenant_id, coach_id, source_id, kind, calendar_ref, reads, writes,
                                              is_new, token_digest, expires_at, created_at)
    SELECT p_connection, p_tenant, coach.coach_id, p_source, p_kind, p_calendar_ref, p_reads, p_writes, p_is_new, p_digest,
           p_expires_at, p_now
      FROM coaches AS coach
     WHERE coach.coach_id = p_coach AND coach.tenant_id = p_tenant AND coach.deleted_at IS NULL
       AND (p_is_new OR EXISTS (SELECT FROM calendar_sources AS known
                                 WHERE known.source_id = p_source AND known.coach_id = p_coach AND known.kind = p_kind))
    RETURNING * INTO v_made;
    RETURN CASE WHEN FOUND THEN engine.connection_json(v_made) END;
END $$;

-- What a link is about, and whether it can be used: `open`, `used`, `expired`, or `gone` where there is no such connection,
-- coach or source any more. Of a connection p_digest is that of its token; of a source, which has no connection, null, and
-- then p_generation has to be its own and it has to be disconnected.
CREATE OR REPLACE FUNCTION engine.link_state(p_id uuid, p_digest bytea, p_generation integer, p_now timestamptz) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    v_asked  calendar_connections;
    v_source calendar_sources;
    v_state  text := 'open';
BEGIN
    IF p_digest IS NOT NULL THEN
        SELECT * INTO v_asked FROM calendar_connections WHERE connection_id = p_id AND token_digest = p_digest;
        SELECT * INTO v_source FROM calendar_sources WHERE source_id = v_asked.source_id;
        v_state := CASE
            WHEN v_asked.used_at IS NOT NULL THEN 'used'
            WHEN v_asked.connection_id IS NULL OR v_source.source_id IS NULL AND NOT v_asked.is_new
                 OR NOT EXISTS (SELECT FROM coaches WHERE coach_id = v_asked.coach_id AND deleted_at IS NULL) THEN 'gone'
            WHEN v_asked.expires_at <= p_now THEN 'expired'
            ELSE 'open' END;
    ELSE
        SELECT * INTO v_source FROM calendar_sources WHERE source_id = p_id;
        v_state := CASE
            WHEN NOT FOUND THEN 'gone'
            WHEN v_source.generation <> p_generation OR v_source.ended IS DISTINCT FROM 'disconnected' THEN 'used'
            ELSE 'open' END;
    END IF;
    RETURN jsonb_build_object(
        'state', v_state, 'tenant_id', coalesce(v_source.tenant_id, v_asked.tenant_id), 'source_id', coalesce(v_source.source_id, v_asked.source_id),
        'coach_id', coalesce(v_source.coach_id, v_asked.coach_id), 'kind', coalesce(v_source.kind, v_asked.kind),
        'reads', coalesce(v_asked.reads, v_source.reads), 'writes', coalesce(v_asked.writes, v_source.writes),
        'calendar_ref', coalesce(v_asked.calendar_ref, v_source.calendar_ref), 'url', v_source.url,
        'account', v_source.username);
END $$;

-- Gives a link's source its credentials, ciphertext for the source's own id, and has it read at once; returns as link_state()
-- what the link was before. Only one that is open is used, and it is so once. p_account is whose calendar it is, and p_url
-- where a CalDAV server is. What was read of the account before counts until the next reading, unless it was not read for a while.
CREATE OR REPLACE FUNCTION engine.use_link(
    p_id uuid, p_digest bytea, p_generation integer, p_credentials text, p_account text, p_url text, p_calendar_ref text,
    p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_link   jsonb := engine.link_state(p_id => p_id, p_digest => p_digest, p_generation => p_generation, p_now => p_now);
    v_coach  text := v_link ->> 'coach_id';
    v_source uuid := v_link ->> 'source_id';
    v_old    calendar_sources;
    v_ref    text;
    v_else   boolean;
BEGIN
    IF v_link ->> 'state' <> 'open' THEN
        RETURN v_link;
    END IF;
    PERFORM engine.lock_external_calendar(v_coach);
    v_link := engine.link_state(p_id => p_id, p_digest => p_digest, p_generation => p_generation, p_now => clock_timestamp());
    IF v_link ->> 'state' <> 'open' THEN
        RETURN v_link;
    END IF;
    UPDATE calendar_connections SET used_at = p_now WHERE connection_id = p_id AND p_digest IS NOT NULL;
    v_ref := coalesce(p_calendar_ref, v_link ->> 'calendar_ref');
    SELECT * INTO v_old FROM calendar_sources WHERE source_id = v_source FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        INSERT INTO calendar_sources (source_id, tenant_id, coach_id, kind, url, calendar_ref, username, credentials, reads,
                                      writes, created_at, updated_at)
        SELECT v_source, coach.tenant_id, coach.coach_id, v_link ->> 'kind', p_url, v_ref, p_account, p_credentials,
               (v_link ->> 'reads')::boolean, (v_link ->> 'writes')::boolean, p_now, p_now
          FROM coaches AS coach WHERE coach.coach_id = v_coach;
        RETURN v_link;
    END IF;
    v_else := (coalesce(p_url, v_old.url), v_ref, lower(coalesce(p_account, v_old.username)))
              IS DISTINCT FROM (v_old.url, v_old.calendar_ref, lower(v_old.username))
              OR (v_link ->> 'reads')::boolean AND NOT v_old.reads;
    IF v_else THEN
        DELETE FROM source_answers WHERE source_id = v_source;
    END IF;
    UPDATE calendar_sources
       SET url = coalesce(p_url, url), calendar_ref = v_ref, username = coalesce(p_account, username),
           credentials = p_credentials, reads = (v_link ->> 'reads')::boolean, writes = (v_link ->> 'writes')::boolean,
           updated_at = p_now
     WHERE source_id = v_source;
    PERFORM engine.begin_again(p_source => v_source, p_unread => v_else);
    RETURN v_link;
END $$;

-- Stores what a provider has replaced a source's credentials by, unless it was connected again meanwhile.
CREATE OR REPLACE FUNCTION engine.renew_credentials(p_source uuid, p_generation integer, p_credentials text) RETURNS void
    LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE calendar_sources SET credentials = p_credentials
     WHERE source_id = p_source AND generation = p_generation AND credentials IS NOT NULL
$$;

-- Whether no other source, of any tenant, has a source's account: revoking one grant of an account ends them all.
CREATE OR REPLACE FUNCTION engine.is_only_use(s calendar_sources) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
    RETURN NOT EXISTS (SELECT FROM calendar_sources AS other
                        WHERE other.source_id <> s.source_id AND other.kind = s.kind
                          AND lower(other.username) IS NOT DISTINCT FROM lower(s.username));
