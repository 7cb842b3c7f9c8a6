-- Our events in coaches' calendars: what is wanted, and what is sent. What comes back: 37_calendar_answers.sql.
-- Why so: docs/decisions/0146.

-- The endpoint of a tenant that stands for all coaches' calendars in the list of deliveries; it subscribes to nothing.
CREATE OR REPLACE FUNCTION engine.calendar_endpoint(p_tenant text) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    v_endpoint uuid;
BEGIN
    LOOP
        SELECT endpoint_id INTO v_endpoint FROM webhook_endpoints
         WHERE tenant_id = p_tenant AND kind = 'calendar_event' AND deleted_at IS NULL;
        EXIT WHEN FOUND;
        INSERT INTO webhook_endpoints (tenant_id, kind, event_types) VALUES (p_tenant, 'calendar_event', '{}')
        ON CONFLICT DO NOTHING;
    END LOOP;
    RETURN v_endpoint;
END $$;

-- When an appointment's event is to be in a source; null: it is not to be there.
CREATE OR REPLACE FUNCTION engine.wanted_event(a coach_appointments, s calendar_sources) RETURNS tstzrange
    LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN a.coach_id = s.coach_id AND a.status IN ('scheduled', 'completed', 'no_show')
                 AND s.writes AND s.kind IN ('google', 'microsoft', 'caldav')
                THEN tstzrange(a.start_time, a.end_time) END;

-- Notes what is wanted of appointments as they are now, whichever of their changes is told of. The rows are locked before that
-- is read: so nobody who read it earlier has the last word.
CREATE OR REPLACE FUNCTION engine.want_calendar_events(p_appointments uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM calendar_sources AS source
      WHERE source.writes AND source.kind IN ('google', 'microsoft', 'caldav')
        AND source.coach_id IN (SELECT coach_id FROM coach_appointments WHERE appointment_id = ANY (p_appointments))
      ORDER BY source.source_id FOR KEY SHARE;
    INSERT INTO calendar_events (appointment_id, source_id)
    SELECT a.appointment_id, source.source_id
      FROM coach_appointments AS a JOIN calendar_sources AS source USING (coach_id)
     WHERE a.appointment_id = ANY (p_appointments) AND a.status = 'scheduled'
       AND engine.wanted_event(a => a, s => source) IS NOT NULL
     ORDER BY a.appointment_id, source.source_id
    ON CONFLICT DO NOTHING;
    PERFORM FROM calendar_events AS event WHERE event.appointment_id = ANY (p_appointments)
      ORDER BY event.appointment_id, event.source_id FOR NO KEY UPDATE;
    UPDATE calendar_events AS event
       SET wanted = made.wanted, revision = event.revision + 1, conflicts = 0, changed = NULL, changed_to = NULL,
           generation = event.generation + CASE WHEN event.wanted IS NULL AND event.sent_revision IS NOT NULL THEN 1 ELSE 0 END
      FROM (SELECT known.appointment_id, known.source_id, engine.wanted_event(a => a, s => source) AS wanted
              FROM calendar_events AS known
              JOIN coach_appointments AS a USING (appointment_id)
              JOIN calendar_sources AS source USING (source_id)
             WHERE known.appointment_id = ANY (p_appointments)) AS made
     WHERE (event.appointment_id, event.source_id) = (made.appointment_id, made.source_id)
       AND event.wanted IS DISTINCT FROM made.wanted;
END $$;

-- When a delivery ended without having written; null: it has not ended.
CREATE OR REPLACE FUNCTION engine.gave_up_at(p_delivery uuid) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
DECLARE
    d webhook_deliveries;
BEGIN
    SELECT * INTO d FROM webhook_deliveries WHERE delivery_id = p_delivery;
    RETURN CASE WHEN d.delivery_id IS NULL THEN '-infinity' WHEN d.status IN ('failed', 'cancelled') THEN d.finished_at END;
END $$;

-- How an appointment's event in a source stands, in a word; null: it is not to be there, and is not.
CREATE OR REPLACE FUNCTION engine.calendar_event_state(e calendar_events, s calendar_sources) RETURNS text LANGUAGE sql STABLE
    RETURN CASE WHEN e.wanted IS NULL THEN CASE WHEN e.confirmed_revision <> e.revision THEN 'removing' END
                WHEN e.changed IS NOT NULL THEN e.changed
                WHEN e.confirmed_revision = e.revision THEN 'confirmed'
                WHEN s.ended IS NOT NULL THEN 'waiting'
                WHEN e.delivery_id IS NOT NULL AND engine.gave_up_at(e.delivery_id) IS NOT NULL THEN 'failed'
                ELSE 'pending' END;

-- The states of an appointment's events, [{"source_id", "state"}], one for each calendar that has one or is to have one.
CREATE OR REPLACE FUNCTION engine.calendar_event_states(p_appointment uuid) RETURNS jsonb LANGUAGE sql STABLE
    RETURN (SELECT coalesce(jsonb_agg(jsonb_build_object('source_id', source_id, 'state', state) ORDER BY source_id), '[]')
              FROM (SELECT event.source_id, engine.calendar_event_state(e => event, s => source) AS state
                      FROM calendar_events AS event JOIN calendar_sources AS source USING (source_id)
                     WHERE event.appointment_id = p_appointment) AS one
             WHERE state IS NOT NULL);

-- The change by which an appointment's event is listed: the last on record, or one made for it.
CREATE OR REPLACE FUNCTION engine.change_to_list(p_tenant text, p_appointment uuid) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    v_change uuid := (SELECT change_id FROM changes WHERE appointment_id = p_appointment ORDER BY version DESC LIMIT 1);
BEGIN
    IF v_change IS NULL THEN
        v_change := uuidv7();
        PERFORM engine.record_change(p_tenant => p_tenant, p_type => 'calendar_event.due', p_change => v_change,
                                     p_details => jsonb_build_object('appointment_id', p_appointment));
    END IF;
    RETURN v_change;
END $$;

-- Makes a delivery of each event, of those appointments or with null of any, that is not as it is wanted and has none under
-- way: one that has given up is replaced where there is something new to write. Nothing is sent to a source that is ended: it
-- waits until that is connected again. Returns the messages for the queue.
CREATE OR REPLACE FUNCTION engine.send_calendar_events(p_appointments uuid[], p_limit integer) RETURNS jsonb
    LANGUAGE plpgsql AS $$
DECLARE
    v_one  record;
    v_made uuid[] := '{}';
    v_id   uuid;
BEGIN
    FOR v_one IN
        SELECT event.*, source.tenant_id
          FROM calendar_events AS event JOIN calendar_sources AS source USING (source_id)
         WHERE (event.confirmed_revision <> event.revision OR event.stray_generation IS NOT NULL)
           AND (p_appointments IS NULL OR event.appointment_id = ANY (p_appointments))
           AND source.ended IS NULL
           AND (event.delivery_id IS NULL
                OR event.revision > coalesce(event.sent_revision, 0) AND engine.gave_up_at(event.delivery_id) IS NOT NULL)
         ORDER BY event.appointment_id, event.source_id LIMIT p_limit
           FOR NO KEY UPDATE OF event SKIP LOCKED
    LOOP
        v_id := uuidv7();
        IF v_one.wanted IS NULL AND v_one.sent_revision IS NULL THEN
            UPDATE calendar_events SET confirmed_revision = revision
             WHERE (appointment_id, source_id) = (v_one.appointment_id, v_one.source_id);
            CONTINUE;
        END IF;
        INSERT INTO webhook_deliveries (delivery_id, event_id, endpoint_id, params)
        VALUES (v_id, engine.change_to_list(p_tenant => v_one.tenant_id, p_appointment => v_one.appointment_id),
                engine.calendar_endpoint(v_one.tenant_id),
                jsonb_build_object(
                    'write', CASE WHEN v_one.stray_generation IS NULL AND v_one.wanted IS NOT NULL THEN 'put' ELSE 'remove' END,
                    'appointment_id', v_one.appointment_id, 'source_id', v_one.source_id,
                    'generation', coalesce(v_one.stray_generation, v_one.generation),
                    'event_revision', CASE WHEN v_one.stray_generation IS NULL THEN v_one.revision END,
                    'start_time', engine.zulu(lower(v_one.wanted)), 'end_time', engine.zulu(upper(v_one.wanted))));
        UPDATE calendar_events AS event
           SET delivery_id = v_id,
               sent_revision = CASE WHEN stray_generation IS NULL THEN revision ELSE sent_revision END,
               sent_before = CASE WHEN stray_generation IS NULL AND sent IS DISTINCT FROM wanted THEN sent ELSE sent_before END,
               sent = CASE WHEN stray_generation IS NULL THEN wanted ELSE sent END
         WHERE (appointment_id, source_id) = (v_one.appointment_id, v_one.source_id);
        v_made := v_made || v_id;
    END LOOP;
    IF v_made = '{}' THEN
        RETURN '[]';
    END IF;
    RETURN (SELECT jsonb_agg(message ORDER BY delivery_id) FROM engine.delivery_messages() WHERE delivery_id = ANY (v_made));
END $$;

-- Makes deliveries of events that nothing else has made one of, as where a reading found that one is missing; returns their
-- messages.
CREATE OR REPLACE FUNCTION engine.send_due_calendar_events(p_limit integer) RETURNS jsonb
    LANGUAGE sql SECURITY DEFINER AS $$
    SELECT engine.send_calendar_events(p_appointments => NULL, p_limit => p_limit)
$$;

-- Whether a delivery may be written now: a message of it that was kept back for long must not undo what was written since.
CREATE OR REPLACE FUNCTION engine.permit_calendar_event(p_delivery uuid) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
    RETURN EXISTS (SELECT FROM webhook_deliveries AS delivery
                     JOIN calendar_events AS event
                       ON event.appointment_id = (delivery.params ->> 'appointment_id')::uuid
                      AND event.source_id = (delivery.params ->> 'source_id')::uuid
                    WHERE delivery.delivery_id = p_delivery AND event.delivery_id = p_delivery);

-- Has the events to come of a coach follow when a source comes, is written or no longer, or is another calendar or account now:
-- then all is written again, which changes nothing where it is the same one.
CREATE OR REPLACE FUNCTION engine.follow_written_source() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM engine.want_calendar_events(ARRAY(
        SELECT appointment_id FROM coach_appointments
         WHERE coach_id = NEW.coach_id AND status = 'scheduled' AND end_time > now() ORDER BY appointment_id));
    IF TG_OP = 'UPDATE' THEN
        UPDATE calendar_events SET revision = revision + 1
         WHERE source_id = NEW.source_id AND OLD.generation <> NEW.generation AND wanted IS NOT NULL AND upper(wanted) > now()
           AND sent_revision IS NOT NULL AND changed IS NULL;
    END IF;
    RETURN NULL;
END $$;

-- Created once: replacing a trigger locks its table. A migration that wants another one drops it first.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'calendar_sources_written') THEN
        CREATE TRIGGER calendar_sources_written AFTER INSERT ON calendar_sources
            FOR EACH ROW WHEN (NEW.writes AND NEW.kind IN ('google', 'microsoft', 'caldav'))
            EXECUTE FUNCTION engine.follow_written_source();
        CREATE TRIGGER calendar_sources_rewritten AFTER UPDATE OF kind, writes, generation ON calendar_sources
            FOR EACH ROW WHEN ((OLD.kind, OLD.writes, OLD.generation) IS DISTINCT FROM (NEW.kind, NEW.writes, NEW.generation)
                               AND (OLD.kind IN ('google', 'microsoft', 'caldav')
                                    OR NEW.kind IN ('google', 'microsoft', 'caldav')))
            EXECUTE FUNCTION engine.follow_written_source();
    END IF;
END $$;
