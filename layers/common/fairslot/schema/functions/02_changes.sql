-- Changes on record: what happened, and the answer for an idempotency key. docs/decisions/0085.
--
-- Each function that changes something is called once and is a transaction. Errors leave by SQLSTATE, MESSAGE and DETAIL:
-- FS400 invalid (what is wrong), FS404 not found (what), FS409 no coach is free (DETAIL: why the calendar refuses), FS410
-- illegal transition (the current state), FS411 the hold is gone, FS412 too many holds, FS422 the key was used for another
-- request, FS426 expired holds must be cleared first. After the last, and after a violation of changes_key, which means that
-- another transaction answered the same key meanwhile, the caller tries again. Where p_now is null, the database's clock
-- counts. Without p_key no answer is stored.

-- An appointment as it goes on record.
CREATE OR REPLACE FUNCTION engine.image_of(a coach_appointments) RETURNS appointment_image LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN a.appointment_id IS NOT NULL THEN ROW(
        a.appointment_id, a.calendar_id, a.coach_id, a.start_time, a.end_time, a.takes, a.status, a.version, a.contact_name,
        a.contact_email, a.notes, a.timezone, a.metadata, a.crm_contact_id, a.external_calendar_id, a.conflict,
        a.created_at, a.updated_at, a.cancelled_at, a.expires_at, a.block_unconfirmed, a.requires)::appointment_image END;

-- Where an appointment's block may be.
CREATE OR REPLACE FUNCTION engine.place_of(a coach_appointments) RETURNS appointment_place LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN a.appointment_id IS NOT NULL
        THEN ROW(a.coach_id, a.start_time, a.end_time, a.takes, a.external_calendar_id)::appointment_place END;

-- Whether subscribers are told of changes of a type.
CREATE OR REPLACE FUNCTION engine.is_event(p_type text) RETURNS boolean LANGUAGE sql IMMUTABLE
    RETURN split_part(p_type, '.', 1) IN ('appointment', 'calendar', 'endpoint');

-- The answer to whoever made a change.
CREATE OR REPLACE FUNCTION engine.answer_of(p_type text, p_after appointment_image, p_answer jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN CASE
        WHEN p_answer IS NOT NULL THEN p_answer
        WHEN p_type = 'appointment.created' THEN engine.booked_json(p_after)
        WHEN p_type = 'hold.created' THEN engine.hold_json(p_after)
        WHEN p_type = 'hold.released' THEN '{}'
        ELSE engine.appointment_json(p_after) END;
END $$;

-- Puts a change on record, in its own transaction: its event, whose deliveries are made later (make_deliveries), the
-- answer for p_key, the request that made it (act_for), and the decision it is due to, by which it moves the turns. p_before and
-- p_after are the appointment, null for a change of something else; p_details is what the event says beyond it. p_answer is
-- given where the answer does not follow from the appointment.
-- Returns the caller's result: {"replayed": false, "answer"}.
CREATE OR REPLACE FUNCTION engine.record_change(
    p_tenant text, p_type text, p_before coach_appointments DEFAULT NULL, p_after coach_appointments DEFAULT NULL,
    p_details jsonb DEFAULT NULL, p_answer jsonb DEFAULT NULL, p_key text DEFAULT NULL, p_fingerprint bytea DEFAULT NULL,
    p_keep_for interval DEFAULT NULL, p_now timestamptz DEFAULT NULL, p_change uuid DEFAULT uuidv7(),
    p_decision decision DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_after  appointment_image := engine.image_of(p_after);
    v_answer jsonb := engine.answer_of(p_type => p_type, p_after => v_after, p_answer => p_answer);
BEGIN
    IF p_key IS NULL OR p_type = 'appointment.created' THEN
        v_after.notes := NULL;
        v_after.metadata := NULL;
    END IF;
    WITH moved AS (
        -- The row of normal has the number of the calendar's last decision, whatever its kind.
        UPDATE turns SET seq = p_decision.seq,
               credits = CASE WHEN kind = p_decision.kind THEN p_decision.credits_after ELSE credits END,
               lasts = CASE WHEN kind = p_decision.kind THEN p_decision.lasts_after ELSE lasts END
         WHERE calendar_id = p_decision.calendar_id AND kind IN (p_decision.kind, 'normal'))
    INSERT INTO changes (change_id, tenant_id, type, appointment_id, version, before, after, details, told,
                         key, fingerprint, key_until, answer, calendar_id, kind, seq, policy, policy_version,
                         roster_version, chosen, credits, lasts, excluded, unmet, reverses, reversed_in, decided_at,
                         origin)
    VALUES (p_change, p_tenant, p_type, p_after.appointment_id,
            p_after.version, engine.place_of(p_before), v_after, p_details,
            NOT engine.is_event(p_type), p_key, CASE WHEN p_key IS NOT NULL THEN p_fingerprint END,
            CASE WHEN p_key IS NOT NULL THEN p_now + p_keep_for END, p_answer, p_decision.calendar_id, p_decision.kind,
            p_decision.seq, p_decision.policy, p_decision.policy_version, p_decision.roster_version, p_decision.chosen,
            p_decision.credits, p_decision.lasts, p_decision.excluded, p_decision.unmet, p_decision.reverses,
            p_decision.reversed_in, p_decision.decided_at,
            CASE WHEN p_after.appointment_id IS NOT NULL
                 THEN nullif(current_setting('fairslot.origin', true), '')::jsonb END);
    RETURN jsonb_build_object('replayed', false, 'answer', v_answer);
END $$;

-- Stores an answer for its key, if there is one, where no appointment changed; returns as record_change().
CREATE OR REPLACE FUNCTION engine.store_answer(
    p_tenant text, p_key text, p_fingerprint bytea, p_keep_for interval, p_now timestamptz, p_answer jsonb
) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF p_key IS NULL THEN
        RETURN jsonb_build_object('replayed', false, 'answer', p_answer);
    END IF;
    RETURN engine.record_change(p_tenant => p_tenant, p_type => 'answer', p_answer => p_answer, p_key => p_key,
                                p_fingerprint => p_fingerprint, p_keep_for => p_keep_for, p_now => p_now);
END $$;

-- The answer stored for a key that has not expired, or null; p_now must not be null. A key that has expired is free again.
CREATE OR REPLACE FUNCTION engine.idempotent_answer(p_tenant text, p_key text, p_fingerprint bytea, p_now timestamptz)
    RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_known changes;
BEGIN
    SELECT * INTO v_known FROM changes WHERE tenant_id = p_tenant AND key = p_key;
    IF NOT FOUND THEN
        RETURN NULL;
    ELSIF v_known.key_until <= p_now THEN
        PERFORM engine.forget_keys(ARRAY[v_known.change_id], p_now);
        RETURN NULL;
    ELSIF v_known.fingerprint <> p_fingerprint THEN
        RAISE EXCEPTION USING ERRCODE = 'FS422', MESSAGE = 'the key was used for another request';
    END IF;
    RETURN engine.answer_of(p_type => v_known.type, p_after => v_known.after, p_answer => v_known.answer);
END $$;

-- Forgets the expired keys of changes with their answers; returns how many.
CREATE OR REPLACE FUNCTION engine.forget_keys(p_changes uuid[], p_now timestamptz) RETURNS integer LANGUAGE sql AS $$
    WITH answers AS (
        DELETE FROM changes WHERE change_id = ANY (p_changes) AND type = 'answer' AND key_until <= p_now RETURNING 1
    ), others AS (
        UPDATE changes SET key = NULL, fingerprint = NULL, key_until = NULL, answer = NULL, after.notes = NULL,
                           after.metadata = NULL
         WHERE change_id = ANY (p_changes) AND type <> 'answer' AND key_until <= p_now RETURNING 1
    )
    SELECT ((SELECT count(*) FROM answers) + (SELECT count(*) FROM others))::integer
$$;

-- The caller's result where the answer was given before.
CREATE OR REPLACE FUNCTION engine.replayed_answer(p_answer jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE
    RETURN jsonb_build_object('replayed', true, 'answer', p_answer);
