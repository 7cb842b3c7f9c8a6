-- Rescheduling, reassigning and the outcome of appointments.

-- Whose turn it is for an appointment that exists, as if its decision were undone; raises FS409 if nobody is free. Not
-- eligible are the coach p_except, who is being replaced, with p_only everybody else, and who does not meet p_requires, which
-- the customer asked for. Returns what decide() needs and the time that it takes of the coach: turn is of the kind p_kind, and
-- where the decision is of another kind, undone has the turns of that. p_turn has the number of the calendar's last decision.
-- The caller has locked the calendar, and days, weeks and months.
CREATE OR REPLACE FUNCTION engine.choose_again(
    p_calendar calendars, p_turn turns, p_roster rosters, p_appointment uuid, p_policy text, p_kind text, p_from integer,
    p_to integer, p_only text, p_except text, p_requires text[], p_now timestamptz, OUT takes tstzrange, OUT coach_id text,
    OUT chosen integer, OUT turn turns, OUT undone turns, OUT credits bigint[], OUT excluded text[], OUT unmet integer[],
    OUT reverses bigint
) LANGUAGE plpgsql AS $$
DECLARE
    v_undone record := engine.undone(p_turn => p_turn, p_roster => p_roster, p_appointment => p_appointment);
    v_may    record := engine.eligible_roster(p_roster => p_roster, p_requires => p_requires);
    v_seen   record := engine.look_at_team(p_roster => v_may.roster, p_from => p_from, p_to => p_to, p_now => p_now,
                                           p_before => p_calendar.buffer_before / 15,
                                           p_after => p_calendar.buffer_after / 15);
    v_choice record;
BEGIN
    turn := v_undone.turn;
    reverses := v_undone.reverses;
    IF turn.kind <> p_kind THEN
        undone := CASE WHEN reverses IS NOT NULL THEN turn END;
        turn := engine.turn_of(p_turn => turn, p_kind => p_kind);
    END IF;
    excluded := v_seen.excluded;
    unmet := v_may.unmet;
    IF p_only IS NOT NULL OR p_except IS NOT NULL THEN
        SELECT array_agg(CASE WHEN mate.coach_id = p_except THEN 'replaced'
                              ELSE coalesce(mate.excluded, CASE WHEN mate.coach_id <> p_only THEN 'not_named' END) END
                         ORDER BY mate.i)
          INTO excluded FROM unnest(p_roster.coach_ids, v_seen.excluded) WITH ORDINALITY AS mate (coach_id, excluded, i);
    END IF;
    v_choice := engine.take_turn(p_policy => p_policy, p_weights => p_roster.weights, p_scores => p_roster.scores,
                                 p_lasts => turn.lasts, p_excluded => excluded, credits => turn.credits);
    IF v_choice.chosen IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'FS409', MESSAGE = 'no coach is free';
    END IF;
    chosen := v_choice.chosen;
    credits := v_choice.credits;
    coach_id := p_roster.coach_ids[chosen];
    takes := engine.takes_of(p_calendar => p_calendar, p_roster => p_roster, p_place => chosen, p_from => p_from,
                             p_to => p_to);
END $$;

-- The decision that choose_again() led to, for record_change(): where it undoes one of another kind, that kind's turns are moved.
CREATE OR REPLACE FUNCTION engine.decide_again(p_choice record, p_policy text, p_policy_version integer, p_now timestamptz)
    RETURNS decision LANGUAGE plpgsql AS $$
DECLARE
    v_undone turns := p_choice.undone;
BEGIN
    IF v_undone.kind IS NOT NULL THEN
        UPDATE turns SET seq = v_undone.seq, credits = v_undone.credits, lasts = v_undone.lasts
         WHERE calendar_id = v_undone.calendar_id AND kind = v_undone.kind;
    END IF;
    RETURN engine.decide(p_turn => p_choice.turn, p_policy => p_policy, p_policy_version => p_policy_version,
                         p_chosen => p_choice.chosen, p_credits => p_choice.credits, p_excluded => p_choice.excluded,
                         p_reverses => p_choice.reverses, p_now => p_now, p_reversed_in => v_undone.kind,
                         p_unmet => p_choice.unmet);
END $$;

-- Moves an appointment to another start before it begins, with its coach or, with p_any_coach, with whoever's turn it
-- is. If the rule chooses the same coach, for hours of the same kind, the credits stay; if nothing would
-- change, nothing does. Whatever is raised keeps the old time.
CREATE OR REPLACE FUNCTION engine.reschedule(
    p_tenant text, p_appointment uuid, p_start timestamptz, p_any_coach boolean,
    p_key text, p_fingerprint bytea, p_keep_for interval, p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_ledger   record := engine.lock_ledger_of(p_tenant => p_tenant, p_appointment => p_appointment,
                                               p_all_of_coach => false);
    v_calendar calendars := v_ledger.calendar;
    v_now      timestamptz := coalesce(p_now, clock_timestamp());
    v_answer   jsonb := engine.idempotent_answer(p_tenant => p_tenant, p_key => p_key, p_fingerprint => p_fingerprint,
                                                 p_now => v_now);
    v_old      coach_appointments;
    v_choice   record;
    v_coach    text;
    v_from     integer := engine.slot_of(p_start);
    v_count    integer := v_calendar.slot_duration / 15;
    v_end      timestamptz := engine.instant_of(v_from + v_count);
    v_takes    tstzrange;
    v_stays    boolean;
    v_kind     text := engine.kind_of(p_calendar => v_calendar, p_start => p_start);
    v_made     decision;
    a          coach_appointments;
BEGIN
    IF v_answer IS NOT NULL THEN
        RETURN engine.replayed_answer(v_answer);
    END IF;
    v_old := engine.lock_appointment(p_tenant, p_appointment);
    IF v_now >= v_old.start_time THEN
        RAISE EXCEPTION USING ERRCODE = 'FS410', MESSAGE = v_old.status, DETAIL = 'has_started';
    END IF;
    v_takes := engine.takes_of(p_calendar => v_calendar, p_roster => v_ledger.roster, p_from => v_from, p_to => v_from + v_count,
                               p_place => array_position((v_ledger.roster).coach_ids, v_old.coach_id));
    v_stays := (p_start, v_end, v_takes) = (v_old.start_time, v_old.end_time, v_old.takes)
               AND NOT v_old.conflict;
    IF v_stays AND NOT p_any_coach THEN
        RETURN engine.store_answer(p_tenant => p_tenant, p_key => p_key, p_fingerprint => p_fingerprint,
                                   p_keep_for => p_keep_for, p_now => v_now,
                                   p_answer => engine.appointment_json(engine.image_of(v_old)));
    END IF;
    PERFORM engine.check_start(p_calendar => v_calendar, p_start => p_start, p_except => p_appointment, p_now => v_now);
    PERFORM engine.check_expired_holds(v_calendar.calendar_id, v_now);
    PERFORM engine.lock_days(a => v_old, p_roster => v_ledger.roster, p_start => p_start, p_takes => v_takes);
    PERFORM engine.release_time(p_coach => v_old.coach_id, p_start => v_old.start_time, p_end => v_old.end_time,
                                p_takes => v_old.takes);
    v_choice := engine.choose_again(
        p_calendar => v_calendar, p_turn => v_ledger.turn, p_roster => v_ledger.roster, p_appointment => p_appointment,
        p_policy => v_calendar.policy, p_kind => v_kind, p_from => v_from, p_to => v_from + v_count,
        p_only => CASE WHEN NOT p_any_coach THEN v_old.coach_id END, p_except => NULL, p_requires => v_old.requires,
        p_now => v_now);
    v_coach := v_choice.coach_id;
    v_takes := v_choice.takes;
    IF v_stays AND v_coach = v_old.coach_id THEN
        PERFORM engine.take_time(p_coach => v_old.coach_id, p_start => v_old.start_time, p_end => v_old.end_time,
                                 p_takes => v_old.takes);
        RETURN engine.store_answer(p_tenant => p_tenant, p_key => p_key, p_fingerprint => p_fingerprint,
                                   p_keep_for => p_keep_for, p_now => v_now,
                                   p_answer => engine.appointment_json(engine.image_of(v_old)));
    ELSIF v_coach <> v_old.coach_id OR v_choice.undone IS NOT NULL THEN
        v_made := engine.decide_again(p_choice => v_choice, p_policy => v_calendar.policy,
                                      p_policy_version => v_calendar.policy_version, p_now => v_now);
    END IF;
    UPDATE coach_appointments
       SET coach_id = v_coach, start_time = p_start, end_time = v_end, takes = v_takes,
           version = version + 1, updated_at = v_now, conflict = false,
           external_calendar_id = CASE WHEN (v_coach, v_takes) = (v_old.coach_id, v_old.takes) THEN external_calendar_id END
     WHERE appointment_id = p_appointment
    RETURNING * INTO a;
    PERFORM engine.take_time(p_coach => a.coach_id, p_start => a.start_time, p_end => a.end_time, p_takes => a.takes);
    RETURN engine.record_change(
        p_tenant => p_tenant, p_type => 'appointment.rescheduled', p_before => v_old, p_after => a,
        p_details => jsonb_build_object('previous_start_time', engine.zulu(v_old.start_time),
                                        'previous_coach_id', v_old.coach_id),
        p_decision => v_made, p_key => p_key, p_fingerprint => p_fingerprint, p_keep_for => p_keep_for, p_now => v_now);
END $$;

-- Hands an appointment to a named coach of the team, or to whoever's turn it is among the others. A choice by hand
-- moves no credits; the decision that it replaces is undone.
CREATE OR REPLACE FUNCTION engine.reassign(
    p_tenant text, p_appointment uuid, p_coach text, p_reason text,
    p_key text, p_fingerprint bytea, p_keep_for interval, p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_ledger   record := engine.lock_ledger_of(p_tenant => p_tenant, p_appointment => p_appointment,
                                               p_all_of_coach => false);
    v_calendar calendars := v_ledger.calendar;
    v_now      timestamptz := coalesce(p_now, clock_timestamp());
    v_answer   jsonb := engine.idempotent_answer(p_tenant => p_tenant, p_key => p_key, p_fingerprint => p_fingerprint,
                                                 p_now => v_now);
    v_policy   text := CASE WHEN p_coach IS NULL THEN v_calendar.policy ELSE 'manual' END;
    v_old      coach_appointments;
    v_choice   record;
    v_from     integer;
    v_to       integer;
    v_made     decision;
    a          coach_appointments;
BEGIN
    IF v_answer IS NOT NULL THEN
        RETURN engine.replayed_answer(v_answer);
    END IF;
    v_old := engine.lock_appointment(p_tenant, p_appointment);
    IF p_coach = v_old.coach_id THEN
        RAISE EXCEPTION USING ERRCODE = 'FS400', MESSAGE = 'same_coach';
    ELSIF p_coach IS NOT NULL AND NOT EXISTS (
        SELECT FROM coach_calendars WHERE calendar_id = v_old.calendar_id AND coach_id = p_coach) THEN
        RAISE EXCEPTION USING ERRCODE = 'FS404', MESSAGE = 'coach';
    END IF;
    PERFORM engine.check_expired_holds(v_calendar.calendar_id, v_now);
    v_from := engine.slot_of(v_old.start_time);
    v_to := engine.slot_of(v_old.end_time);
    PERFORM engine.lock_days(a => v_old, p_roster => v_ledger.roster, p_start => v_old.start_time,
                             p_takes => engine.takes_of(p_calendar => v_calendar, p_roster => v_ledger.roster, p_place => NULL,
                                                        p_from => v_from, p_to => v_to));
    v_choice := engine.choose_again(
        p_calendar => v_calendar, p_turn => v_ledger.turn, p_roster => v_ledger.roster, p_appointment => p_appointment,
        p_policy => v_policy, p_kind => engine.kind_of(p_calendar => v_calendar, p_start => v_old.start_time),
        p_from => v_from, p_to => v_to, p_only => p_coach, p_except => v_old.coach_id, p_requires => v_old.requires,
        p_now => v_now);
    UPDATE coach_appointments
       SET coach_id = v_choice.coach_id, takes = v_choice.takes, version = version + 1, updated_at = v_now,
           conflict = false, external_calendar_id = NULL
     WHERE appointment_id = p_appointment
    RETURNING * INTO a;
    v_made := engine.decide_again(p_choice => v_choice, p_policy => v_policy,
                                  p_policy_version => v_calendar.policy_version, p_now => v_now);
    PERFORM engine.release_time(p_coach => v_old.coach_id, p_start => v_old.start_time, p_end => v_old.end_time,
                                p_takes => v_old.takes);
    PERFORM engine.take_time(p_coach => a.coach_id, p_start => a.start_time, p_end => a.end_time, p_takes => a.takes);
    RETURN engine.record_change(
        p_tenant => p_tenant, p_type => 'appointment.reassigned', p_before => v_old, p_after => a,
        p_details => jsonb_build_object('previous_coach_id', v_old.coach_id, 'reason', p_reason),
        p_decision => v_made, p_key => p_key, p_fingerprint => p_fingerprint, p_keep_for => p_keep_for, p_now => v_now);
END $$;

-- Stores how an appointment that has begun ended, and updates the coach's score.
CREATE OR REPLACE FUNCTION engine.report_outcome(
    p_tenant text, p_appointment uuid, p_outcome text, p_key text, p_fingerprint bytea, p_keep_for interval, p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_ledger record := engine.lock_ledger_of(p_tenant => p_tenant, p_appointment => p_appointment, p_all_of_coach => true);
    v_now    timestamptz := coalesce(p_now, clock_timestamp());
    v_answer jsonb := engine.idempotent_answer(p_tenant => p_tenant, p_key => p_key, p_fingerprint => p_fingerprint,
                                               p_now => v_now);
    v_old    coach_appointments;
    a        coach_appointments;
BEGIN
    IF v_answer IS NOT NULL THEN
        RETURN engine.replayed_answer(v_answer);
    END IF;
    v_old := engine.lock_appointment(p_tenant, p_appointment);
    IF v_now < v_old.start_time THEN
        RAISE EXCEPTION USING ERRCODE = 'FS410', MESSAGE = v_old.status, DETAIL = 'not_started';
    END IF;
    UPDATE coach_appointments SET status = p_outcome, version = version + 1, updated_at = v_now
     WHERE appointment_id = p_appointment
    RETURNING * INTO a;
    PERFORM engine.update_score(p_calendar => v_ledger.calendar, p_coach => a.coach_id, p_completed => p_outcome = 'completed',
                                p_now => v_now);
    RETURN engine.record_change(
        p_tenant => p_tenant, p_type => 'appointment.' || p_outcome, p_before => v_old, p_after => a,
        p_key => p_key, p_fingerprint => p_fingerprint, p_keep_for => p_keep_for, p_now => v_now);
END $$;
