-- Fairness: weights, whose turn it is, how a decision moves the credits, and how it is undone.

-- Derives the weights of a team: clip((score / team mean)^exponent, low, high), times the manual weight.
CREATE OR REPLACE FUNCTION engine.refresh_weights(p_calendar text) RETURNS void LANGUAGE sql
BEGIN ATOMIC
    UPDATE coach_calendars AS member
       SET weight = greatest(1, round(1000000 * member.manual_weight * least(team.weight_high, greatest(team.weight_low,
               CASE WHEN team.mean > 0 THEN power(coach.score / team.mean, team.weight_exponent) ELSE 1 END))))::integer
      FROM coaches AS coach,
           (SELECT calendar.calendar_id, calendar.weight_low, calendar.weight_high, calendar.weight_exponent,
                   avg(mate.score) AS mean
              FROM calendars AS calendar
              JOIN coach_calendars AS teammate USING (calendar_id)
              JOIN coaches AS mate ON mate.coach_id = teammate.coach_id
             WHERE calendar.calendar_id = p_calendar
             GROUP BY calendar.calendar_id) AS team
     WHERE member.calendar_id = team.calendar_id AND coach.coach_id = member.coach_id;
END;

-- Updates a coach's score, a Beta belief whose prior is the team's mean: the evidence so far fades, then the outcome
-- counts one. Every calendar of the coach gets new weights.
CREATE OR REPLACE FUNCTION engine.update_score(p_calendar calendars, p_coach text, p_completed boolean, p_now timestamptz)
    RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_mean  double precision;
    v_one   record;
    v_fades double precision;
BEGIN
    PERFORM FROM coaches WHERE coach_id = p_coach FOR NO KEY UPDATE;
    SELECT avg(mate.score) INTO v_mean FROM coach_calendars JOIN coaches AS mate USING (coach_id)
     WHERE calendar_id = p_calendar.calendar_id;
    SELECT coalesce(alpha, p_calendar.prior_strength * score) - p_calendar.prior_strength * v_mean AS alpha,
           coalesce(beta, p_calendar.prior_strength * (1 - score)) - p_calendar.prior_strength * (1 - v_mean) AS beta,
           greatest(0, extract(epoch FROM p_now - coalesce(evidence_at, p_now)) / 86400) AS days
      INTO v_one FROM coaches WHERE coach_id = p_coach;
    v_fades := power(2, -v_one.days / p_calendar.half_life_days);
    UPDATE coaches
       SET alpha = greatest(p_calendar.prior_strength * v_mean + v_one.alpha * v_fades, 1e-6)
                   + CASE WHEN p_completed THEN 1 ELSE 0 END,
           beta = greatest(p_calendar.prior_strength * (1 - v_mean) + v_one.beta * v_fades, 1e-6)
                  + CASE WHEN p_completed THEN 0 ELSE 1 END,
           evidence_at = p_now, updated_at = p_now
     WHERE coach_id = p_coach;
    UPDATE coaches SET score = alpha / (alpha + beta) WHERE coach_id = p_coach;
    PERFORM engine.refresh_weights(calendar_id) FROM coach_calendars WHERE coach_id = p_coach ORDER BY calendar_id;
END $$;

-- Candidates in order, those who are not eligible last. fair_share is the weighted greedy carpool: the largest credit +
-- share, then the least recently assigned, then the lowest id; everybody eligible gains the share and the first pays a
-- booking. highest_score goes by the score, with the same ties, and moves no credits. Shares are millionths, rounded
-- down; the first gets what rounding leaves.
CREATE OR REPLACE FUNCTION engine.ranked_candidates(p_policy text, p_team candidate[])
    RETURNS SETOF candidate LANGUAGE sql STABLE AS $$
    SELECT one.coach_id, one.score, one.weight, one.credit, one.last, one.days, one.first_slot, one.excluded,
           CASE WHEN one.place = 1 THEN 1000000 - one.others ELSE one.share END,
           CASE WHEN p_policy = 'highest_score' THEN one.share * 0 WHEN one.place = 1 THEN -one.others ELSE one.share END
      FROM (SELECT part.*, row_number() OVER turn AS place,
                   coalesce(sum(part.share) OVER (
                       turn ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING EXCLUDE CURRENT ROW), 0)::bigint
                       AS others
              FROM (SELECT mate.coach_id, mate.score, mate.weight, mate.credit, mate.last, mate.days, mate.first_slot,
                           mate.excluded,
                           CASE WHEN mate.excluded IS NULL THEN
                               mate.weight * 1000000
                                   / (sum(mate.weight) FILTER (WHERE mate.excluded IS NULL) OVER ())::bigint END AS share
                      FROM unnest(p_team) AS mate) AS part
            WINDOW turn AS (ORDER BY part.excluded IS NOT NULL,
                CASE WHEN p_policy = 'highest_score' THEN part.score ELSE part.credit + part.share END DESC,
                part.last NULLS FIRST, part.coach_id COLLATE "C")) AS one
     ORDER BY one.place
$$;

-- Divides an amount of credit among a calendar's team, without p_except, by weight; the lowest id gets what rounding
-- leaves.
CREATE OR REPLACE FUNCTION engine.distribute_credit(p_calendar text, p_amount bigint, p_except text DEFAULT NULL)
    RETURNS TABLE (coach_id text, weight integer, delta bigint) LANGUAGE sql STABLE AS $$
    SELECT part.coach_id, part.weight,
           part.share + CASE WHEN part.place = 1 THEN p_amount - (sum(part.share) OVER ())::bigint ELSE 0 END
      FROM (SELECT member.coach_id, member.weight, row_number() OVER (ORDER BY member.coach_id COLLATE "C") AS place,
                   div(p_amount::numeric * member.weight, sum(member.weight) OVER ())::bigint AS share
              FROM coach_calendars AS member
             WHERE member.calendar_id = p_calendar AND member.coach_id IS DISTINCT FROM p_except) AS part
$$;

-- What undoing an appointment's current decision does, per coach; no rows without one. What a coach who has left the
-- team would give back is divided among the rest.
CREATE OR REPLACE FUNCTION engine.reversal(p_appointment uuid) RETURNS TABLE (
    calendar_id text, seq bigint, policy text, policy_version integer, chosen text,
    coach_id text, weight integer, share bigint, delta bigint, last_seq bigint
) LANGUAGE sql STABLE AS $$
    WITH made AS (
        SELECT log.* FROM distribution_log AS log
         WHERE log.appointment_id = p_appointment AND log.kind = 'assigned'
           AND NOT EXISTS (SELECT FROM distribution_log AS undone
                            WHERE undone.appointment_id = p_appointment AND undone.reverses_seq = log.seq)
         ORDER BY log.seq DESC LIMIT 1
    ), moved AS (
        SELECT one ->> 'coach_id' AS coach_id, -(one ->> 'share')::bigint AS share, -(one ->> 'delta')::bigint AS delta,
               (one ->> 'last')::bigint AS last_seq
          FROM made CROSS JOIN LATERAL jsonb_array_elements(made.candidates) AS one WHERE one ? 'share'
    ), gone AS (
        SELECT coalesce(sum(moved.delta), 0)::bigint AS delta
          FROM moved WHERE NOT EXISTS (SELECT FROM made JOIN coach_calendars AS member USING (calendar_id)
                                        WHERE member.coach_id = moved.coach_id)
    )
    SELECT made.calendar_id, made.seq, made.policy, made.policy_version, made.chosen, member.coach_id, member.weight,
           coalesce(moved.share, 0), coalesce(moved.delta, 0) + coalesce(extra.delta, 0), moved.last_seq
      FROM made
      JOIN coach_calendars AS member ON member.calendar_id = made.calendar_id
      LEFT JOIN moved ON moved.coach_id = member.coach_id
      LEFT JOIN LATERAL (SELECT part.delta FROM gone, engine.distribute_credit(p_calendar => made.calendar_id,
                                                                               p_amount => gone.delta) AS part
                          WHERE gone.delta <> 0 AND part.coach_id = member.coach_id) AS extra ON true
     WHERE moved.coach_id IS NOT NULL OR extra.delta IS NOT NULL
$$;

-- Writes a row of the record under the calendar's next number and returns the number; the caller has locked the
-- calendar.
CREATE OR REPLACE FUNCTION engine.record_decision(
    p_calendar text, p_appointment uuid, p_kind text, p_reverses bigint, p_policy text, p_version integer, p_chosen text,
    p_candidates jsonb, p_now timestamptz
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_seq bigint;
BEGIN
    INSERT INTO distribution_log (calendar_id, seq, appointment_id, kind, reverses_seq, policy, policy_version, chosen,
                                  candidates, decided_at)
    VALUES (p_calendar, coalesce((SELECT max(seq) FROM distribution_log WHERE calendar_id = p_calendar), 0) + 1,
            p_appointment, p_kind, p_reverses, p_policy, p_version, p_chosen, p_candidates, p_now)
    RETURNING seq INTO v_seq;
    RETURN v_seq;
END $$;

-- Records the choice of the first of a ranked team and moves the credits by it.
CREATE OR REPLACE FUNCTION engine.record_assignment(
    p_calendar calendars, p_policy text, p_appointment uuid, p_team candidate[], p_now timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_chosen text := p_team[1].coach_id;
    v_seq    bigint := engine.record_decision(
        p_calendar => p_calendar.calendar_id, p_appointment => p_appointment, p_kind => 'assigned',
        p_reverses => NULL, p_policy => p_policy, p_version => p_calendar.policy_version, p_chosen => v_chosen,
        p_candidates => (SELECT jsonb_agg(CASE WHEN one.excluded IS NOT NULL
                THEN jsonb_build_object('coach_id', one.coach_id, 'score', one.score, 'excluded', one.excluded)
                ELSE jsonb_build_object('coach_id', one.coach_id, 'score', one.score, 'weight', one.weight,
                                        'credit', one.credit, 'last', one.last, 'share', one.share, 'delta', one.delta)
                END ORDER BY one.coach_id COLLATE "C") FROM unnest(p_team) AS one), p_now => p_now);
BEGIN
    UPDATE coach_calendars AS member
       SET credit = member.credit + one.delta,
           last_assigned_seq = CASE WHEN one.coach_id = v_chosen THEN v_seq ELSE member.last_assigned_seq END
      FROM unnest(p_team) AS one
     WHERE member.calendar_id = p_calendar.calendar_id AND member.coach_id = one.coach_id AND one.excluded IS NULL;
END $$;

-- Undoes the credits of an appointment's current decision, exactly.
CREATE OR REPLACE FUNCTION engine.reverse_decision(p_appointment uuid, p_now timestamptz)
    RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_one record;
BEGIN
    SELECT undo.calendar_id, undo.seq, undo.policy, undo.policy_version, undo.chosen,
           jsonb_agg(jsonb_build_object('coach_id', undo.coach_id, 'weight', undo.weight, 'share', undo.share,
                                        'delta', undo.delta, 'last', undo.last_seq)
                     ORDER BY undo.coach_id COLLATE "C") AS candidates
      INTO v_one FROM engine.reversal(p_appointment) AS undo GROUP BY 1, 2, 3, 4, 5;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    UPDATE coach_calendars AS member
       SET credit = member.credit + (one.value ->> 'delta')::bigint,
           -- The order of ties goes back too, unless the coach was chosen again since.
           last_assigned_seq = CASE WHEN member.last_assigned_seq = v_one.seq THEN (one.value ->> 'last')::bigint
                                    ELSE member.last_assigned_seq END
      FROM jsonb_array_elements(v_one.candidates) AS one
     WHERE member.calendar_id = v_one.calendar_id AND member.coach_id = one.value ->> 'coach_id';
    PERFORM engine.record_decision(p_calendar => v_one.calendar_id, p_appointment => p_appointment, p_kind => 'reversed',
                                   p_reverses => v_one.seq, p_policy => v_one.policy, p_version => v_one.policy_version,
                                   p_chosen => v_one.chosen, p_candidates => v_one.candidates, p_now => p_now);
END $$;

-- The team as if the appointment's decision were undone. Not eligible: the coach p_except, who is being replaced, and
-- with p_only everybody else.
CREATE OR REPLACE FUNCTION engine.without_decision(p_team candidate[], p_appointment uuid, p_only text, p_except text)
    RETURNS candidate[] LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(ROW(one.coach_id, one.score, one.weight, one.credit + coalesce(undo.delta, 0),
               CASE WHEN one.last = undo.seq THEN undo.last_seq ELSE one.last END, one.days, one.first_slot,
               CASE WHEN one.coach_id = p_except THEN 'replaced'
                    ELSE coalesce(one.excluded, CASE WHEN one.coach_id <> p_only THEN 'not_named' END) END,
               NULL, NULL)::candidate), '{}')
      FROM unnest(p_team) AS one LEFT JOIN engine.reversal(p_appointment) AS undo USING (coach_id)
$$;

-- Adds a coach to a team with no credit and no debt, so that bookings neither flood nor pass the newcomer.
CREATE OR REPLACE FUNCTION engine.join_team(p_calendar text, p_coach text, p_manual_weight double precision)
    RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM calendars WHERE calendar_id = p_calendar FOR NO KEY UPDATE;
    INSERT INTO coach_calendars AS member (calendar_id, coach_id, manual_weight)
    VALUES (p_calendar, p_coach, p_manual_weight)
    ON CONFLICT (calendar_id, coach_id) DO UPDATE SET manual_weight = excluded.manual_weight;
    PERFORM engine.refresh_weights(p_calendar);
END $$;

-- Removes a coach from a team and divides the credit among the rest by weight, so that it still sums to 0.
CREATE OR REPLACE FUNCTION engine.leave_team(p_calendar text, p_coach text, p_now timestamptz)
    RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_credit bigint;
    v_log    jsonb;
BEGIN
    PERFORM FROM calendars WHERE calendar_id = p_calendar FOR NO KEY UPDATE;
    SELECT credit INTO v_credit FROM coach_calendars WHERE calendar_id = p_calendar AND coach_id = p_coach;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'FS404', MESSAGE = 'coach';
    END IF;
    SELECT coalesce(jsonb_agg(jsonb_build_object('coach_id', part.coach_id, 'weight', part.weight, 'delta', part.delta)
                              ORDER BY part.coach_id COLLATE "C"), '[]')
      INTO v_log FROM engine.distribute_credit(p_calendar => p_calendar, p_amount => v_credit, p_except => p_coach) AS part;
    UPDATE coach_calendars AS member SET credit = member.credit + (one ->> 'delta')::bigint
      FROM jsonb_array_elements(v_log) AS one
     WHERE member.calendar_id = p_calendar AND member.coach_id = one ->> 'coach_id';
    DELETE FROM coach_calendars WHERE calendar_id = p_calendar AND coach_id = p_coach;
    PERFORM engine.record_decision(p_calendar => p_calendar, p_appointment => NULL, p_kind => 'left', p_reverses => NULL,
                                   p_policy => policy, p_version => policy_version, p_chosen => p_coach,
                                   p_candidates => v_log || jsonb_build_object('coach_id', p_coach, 'delta', -v_credit),
                                   p_now => coalesce(p_now, clock_timestamp()))
       FROM calendars WHERE calendar_id = p_calendar;
    PERFORM engine.refresh_weights(p_calendar);
END $$;
