-- Our events in coaches' calendars: what a provider answered, and what a reading saw. Why so: docs/decisions/0147.

-- Notes the provider's clear word that a source cannot be written any more before somebody acts, unless it is another account
-- by now, or is only read: there our right to write may have ended with the writing. The caller has no lock of an event.
CREATE OR REPLACE FUNCTION engine.end_written_source(
    p_source uuid, p_generation integer, p_error text, p_ended text, p_at timestamptz, p_reconnect_url text
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    s calendar_sources;
BEGIN
    UPDATE calendar_sources SET ended = p_ended, error = p_error, failed_at = greatest(failed_at, p_at), failures = failures + 1
     WHERE source_id = p_source AND generation = p_generation AND ended IS NULL AND writes
    RETURNING * INTO s;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM engine.refresh_sync(s.coach_id);
    IF p_ended = 'disconnected' THEN
        PERFORM engine.tell_disconnected(s => s, p_error => p_error, p_reconnect_url => p_reconnect_url);
    END IF;
    RETURN true;
END $$;

-- A span as events name it.
CREATE OR REPLACE FUNCTION engine.span_json(p_span tstzrange) RETURNS jsonb LANGUAGE sql STABLE
    RETURN CASE WHEN p_span IS NOT NULL THEN jsonb_build_object('start_time', engine.zulu(lower(p_span)),
                                                                'end_time', engine.zulu(upper(p_span))) END;

-- Tells the tenant, once, that a coach moved an event of ours to p_to, or with null deleted it. The caller has locked it.
CREATE OR REPLACE FUNCTION engine.tell_event_changed(e calendar_events, p_to tstzrange) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_what text := CASE WHEN p_to IS NULL THEN 'deleted' ELSE 'moved' END;
BEGIN
    UPDATE calendar_events SET changed = v_what, changed_to = p_to
     WHERE (appointment_id, source_id) = (e.appointment_id, e.source_id);
    PERFORM engine.record_change(
        p_tenant => source.tenant_id, p_type => 'calendar.event_changed', p_details => jsonb_build_object(
            'appointment_id', e.appointment_id, 'calendar_id', a.calendar_id, 'coach_id', source.coach_id,
            'source_id', e.source_id, 'what', v_what, 'from', engine.span_json(e.confirmed), 'to', engine.span_json(p_to)))
       FROM calendar_sources AS source, coach_appointments AS a
      WHERE source.source_id = e.source_id AND a.appointment_id = e.appointment_id;
END $$;

-- Notes what a delivery that is not the one under way has written after all: what it has undone is written again.
CREATE OR REPLACE FUNCTION engine.note_late_answer(e calendar_events, p_answer jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_generation integer := (p_answer ->> 'generation')::integer;
    v_stands     tstzrange := CASE WHEN p_answer ->> 'done' = 'put' THEN tstzrange((p_answer ->> 'start')::timestamptz,
                                                                                   (p_answer ->> 'end')::timestamptz) END;
BEGIN
    IF v_generation IS NULL THEN
        RETURN;  -- Its message was made when it was no longer the one under way, and wrote nothing.
    ELSIF v_generation <> e.generation THEN
        UPDATE calendar_events SET stray_generation = v_generation
         WHERE (appointment_id, source_id) = (e.appointment_id, e.source_id) AND v_stands IS NOT NULL;
    ELSIF v_stands IS DISTINCT FROM e.sent THEN
        UPDATE calendar_events SET revision = revision + 1, confirmed = v_stands
         WHERE (appointment_id, source_id) = (e.appointment_id, e.source_id);
    END IF;
END $$;

-- Notes what the delivery under way has written.
CREATE OR REPLACE FUNCTION engine.note_written(e calendar_events, d webhook_deliveries, p_at timestamptz, p_answer jsonb)
    RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_is_put boolean := d.params ->> 'write' = 'put';
BEGIN
    IF d.params ->> 'event_revision' IS NULL THEN
        UPDATE calendar_events
           SET delivery_id = NULL, error = NULL, stray_generation = nullif(stray_generation, (d.params ->> 'generation')::integer)
         WHERE (appointment_id, source_id) = (e.appointment_id, e.source_id);
        RETURN;
    END IF;
    UPDATE calendar_events
       SET delivery_id = NULL, error = NULL, confirmed_revision = sent_revision, confirmed_at = p_at, conflicts = 0,
           confirmed = CASE WHEN v_is_put THEN sent END, ref = p_answer ->> 'ref', version = p_answer ->> 'version',
           changed = NULL, changed_to = NULL,
           -- Written with what was valid before the source became another calendar or account.
           revision = revision + CASE WHEN v_is_put AND (p_answer ->> 'source_generation')::integer
                                           IS DISTINCT FROM source.generation THEN 1 ELSE 0 END
      FROM calendar_sources AS source
     WHERE (appointment_id, calendar_events.source_id) = (e.appointment_id, e.source_id) AND source.source_id = e.source_id;
END $$;

-- Notes that the delivery under way has failed for good. Where an event cannot be put because it was deleted: if it stood at
-- that very time, the coach does not want it; otherwise the next generation is tried, a few times.
CREATE OR REPLACE FUNCTION engine.note_not_written(e calendar_events, p_error text, p_ended boolean) RETURNS void
    LANGUAGE plpgsql AS $$
DECLARE
    v_generation integer := e.generation;
BEGIN
    IF p_error = 'conflict' AND e.confirmed = e.sent THEN
        UPDATE calendar_events SET delivery_id = NULL, confirmed_revision = sent_revision, error = NULL
         WHERE (appointment_id, source_id) = (e.appointment_id, e.source_id);
        IF e.changed IS DISTINCT FROM 'deleted' THEN
            PERFORM engine.tell_event_changed(e => e, p_to => NULL);
        END IF;
    ELSIF p_error = 'conflict' AND e.conflicts < 3 THEN
        UPDATE calendar_events
           SET delivery_id = NULL, generation = v_generation + 1, conflicts = conflicts + 1, confirmed = NULL, error = p_error
         WHERE (appointment_id, source_id) = (e.appointment_id, e.source_id);
    ELSE
        -- What its message does not write any more is due again.
        UPDATE calendar_events SET error = p_error, delivery_id = CASE WHEN NOT p_ended AND p_error <> 'superseded' THEN delivery_id END
         WHERE (appointment_id, source_id) = (e.appointment_id, e.source_id);
    END IF;
END $$;

-- Applies what came of writing an event, at p_at; returns the messages for the queue, and whether there is a change to tell of.
CREATE OR REPLACE FUNCTION engine.note_calendar_answer(
    d webhook_deliveries, p_at timestamptz, p_outcome text, p_error text, p_answer jsonb,
    OUT messages jsonb, OUT changed boolean
) LANGUAGE plpgsql AS $$
DECLARE
    v_appointment uuid := d.params ->> 'appointment_id';
    v_source      uuid := d.params ->> 'source_id';
    v_ended       text := p_answer ->> 'ended';
    e             calendar_events;
BEGIN
    messages := '[]';
    changed := v_ended IS NOT NULL AND engine.end_written_source(
        p_source => v_source, p_generation => (p_answer ->> 'source_generation')::integer, p_error => p_error,
        p_ended => v_ended, p_at => p_at, p_reconnect_url => p_answer ->> 'reconnect_url');
    SELECT * INTO e FROM calendar_events WHERE appointment_id = v_appointment AND source_id = v_source FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    ELSIF p_outcome = 'retrying' THEN
        UPDATE calendar_events SET error = p_error
         WHERE appointment_id = v_appointment AND source_id = v_source AND delivery_id = d.delivery_id;
        RETURN;
    ELSIF p_outcome = 'delivered' AND e.delivery_id IS DISTINCT FROM d.delivery_id THEN
        PERFORM engine.note_late_answer(e => e, p_answer => p_answer);
    ELSIF e.delivery_id IS DISTINCT FROM d.delivery_id THEN
        RETURN;
    ELSIF p_outcome = 'delivered' THEN
        PERFORM engine.note_written(e => e, d => d, p_at => p_at, p_answer => p_answer);
    ELSE
        PERFORM engine.note_not_written(
            e => e, p_error => p_error,
            p_ended => v_ended IS NOT NULL AND EXISTS (SELECT FROM calendar_sources WHERE source_id = v_source AND writes));
        changed := changed OR EXISTS (SELECT FROM calendar_events AS one
                                       WHERE one.appointment_id = v_appointment AND one.source_id = v_source
                                         AND one.changed IS DISTINCT FROM e.changed);
    END IF;
    messages := engine.send_calendar_events(p_appointments => ARRAY[v_appointment], p_limit => NULL);
END $$;

-- What is to be done about an event of ours, which a reading that began at p_at saw at p_seen, null: did not see. As providers'
-- clocks are not ours, two seconds make no difference.
CREATE OR REPLACE FUNCTION engine.follow_sighting(e calendar_events, p_seen tstzrange, p_at timestamptz) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    IF e.delivery_id IS NOT NULL AND e.revision = e.sent_revision
       AND engine.gave_up_at(e.delivery_id) < p_at - interval '1 hour' THEN
        -- The provider answers again. Not each time: what it refuses may be what we want.
        UPDATE calendar_events SET revision = revision + 1
         WHERE (appointment_id, source_id) = (e.appointment_id, e.source_id);
    ELSIF e.delivery_id IS NOT NULL OR e.confirmed_revision <> e.revision OR e.confirmed_at >= p_at - interval '2 seconds' THEN
        NULL;  -- It is being written, or was while this was read.
    ELSIF e.wanted IS NULL THEN
        IF p_seen IS NOT NULL THEN  -- The answer to its creation came after that to its removal.
            UPDATE calendar_events SET revision = revision + 1
             WHERE (appointment_id, source_id) = (e.appointment_id, e.source_id);
        END IF;
    ELSIF p_seen = e.confirmed THEN
        UPDATE calendar_events SET changed = NULL, changed_to = NULL
         WHERE (appointment_id, source_id) = (e.appointment_id, e.source_id) AND changed IS NOT NULL;
    ELSIF p_seen = e.sent_before AND e.changed IS NULL AND e.confirmed_at >= p_at - interval '1 hour' THEN
        -- A message that was kept back wrote what was wanted before.
        UPDATE calendar_events SET revision = revision + 1, confirmed = p_seen
         WHERE (appointment_id, source_id) = (e.appointment_id, e.source_id);
    ELSIF (e.changed, e.changed_to) IS DISTINCT FROM (CASE WHEN p_seen IS NULL THEN 'deleted' ELSE 'moved' END, p_seen) THEN
        PERFORM engine.tell_event_changed(e => e, p_to => p_seen);
    END IF;
END $$;

-- Compares the events of ours that a reading of a source saw, [{"appointment_id", "generation", "start", "end"}], with those
-- that are to be there. The reading began at p_at and saw what is in p_window; unless p_is_whole, others may be there too. Only
-- rows are locked of which something may follow: mostly there are none.
CREATE OR REPLACE FUNCTION engine.compare_own_events(
    p_source uuid, p_generation integer, p_at timestamptz, p_window tstzrange, p_own jsonb, p_is_whole boolean
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_one record;
    e     calendar_events;
BEGIN
    PERFORM FROM calendar_sources WHERE source_id = p_source AND generation = p_generation FOR KEY SHARE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    FOR v_one IN
        SELECT event.appointment_id, seen.span, seen.stray
          FROM calendar_events AS event
          LEFT JOIN (
            SELECT one.appointment_id, known.generation,
                   min(one.generation) FILTER (WHERE one.generation <> known.generation) AS stray,
                   (array_agg(tstzrange(one.start, one."end")) FILTER (WHERE one.generation = known.generation))[1] AS span
              FROM jsonb_to_recordset(p_own) AS one (appointment_id uuid, generation integer, start timestamptz, "end" timestamptz)
              JOIN calendar_events AS known ON known.appointment_id = one.appointment_id AND known.source_id = p_source
             GROUP BY one.appointment_id, known.generation) AS seen USING (appointment_id)
         WHERE event.source_id = p_source
           AND (seen.stray IS NOT NULL OR event.delivery_id IS NOT NULL
                OR seen.span IS NOT NULL AND (seen.span IS DISTINCT FROM event.confirmed OR event.changed IS NOT NULL)
                OR seen.span IS NULL AND p_is_whole AND event.confirmed <@ p_window AND upper(event.confirmed) > p_at
                   AND event.changed IS DISTINCT FROM 'deleted')
         ORDER BY event.appointment_id
    LOOP
        SELECT * INTO e FROM calendar_events
         WHERE appointment_id = v_one.appointment_id AND source_id = p_source FOR NO KEY UPDATE;
        CONTINUE WHEN NOT FOUND;
        IF v_one.stray <> e.generation AND coalesce(e.confirmed_at < p_at - interval '2 seconds', true) THEN
            UPDATE calendar_events SET stray_generation = v_one.stray
             WHERE appointment_id = v_one.appointment_id AND source_id = p_source;
        END IF;
        IF v_one.span IS NOT NULL OR e.delivery_id IS NOT NULL
           OR p_is_whole AND e.confirmed <@ p_window AND upper(e.confirmed) > p_at THEN
            PERFORM engine.follow_sighting(e => e, p_seen => v_one.span, p_at => p_at);
        END IF;
    END LOOP;
END $$;

-- Deletes a portion of the events whose appointments were over before an instant.
CREATE OR REPLACE FUNCTION engine.delete_old_calendar_events(p_before timestamptz, p_portion bigint) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER AS $$
    WITH done AS (
        DELETE FROM calendar_events
         WHERE (appointment_id, source_id) IN (
            SELECT event.appointment_id, event.source_id
              FROM calendar_events AS event JOIN coach_appointments AS a USING (appointment_id)
             WHERE a.end_time < p_before
             ORDER BY event.appointment_id, event.source_id LIMIT p_portion FOR UPDATE OF event SKIP LOCKED)
        RETURNING true
    )
    SELECT count(*) FROM done
$$;
