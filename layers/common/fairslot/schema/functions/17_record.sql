-- The record of decisions spelled out, a row a step: for people, replay and what-if.

-- What a decision did with each coach of its roster: [{coach_id, score, weight, share, credit, last, delta} or {coach_id,
-- score, excluded}, …]. Weights, shares and credits are millionths; share is what the coach was due, delta how the credit
-- moved, last the decision that had chosen the coach before, or null.
CREATE OR REPLACE FUNCTION engine.assignment_json(p_made decision, p_roster rosters) RETURNS jsonb LANGUAGE sql IMMUTABLE
    RETURN (SELECT jsonb_agg(
                CASE WHEN mate.share IS NULL
                     THEN jsonb_build_object('coach_id', mate.coach_id, 'score', mate.score, 'excluded', mate.excluded)
                     ELSE jsonb_build_object('coach_id', mate.coach_id, 'score', mate.score, 'weight', mate.weight,
                                             'credit', mate.credit, 'last', nullif(mate.last, 0), 'share', mate.share,
                                             'delta', mate.after - mate.credit) END ORDER BY mate.i)
              FROM engine.take_turn(p_policy => p_made.policy, p_weights => p_roster.weights, p_scores => p_roster.scores,
                                    p_lasts => p_made.lasts, p_excluded => p_made.excluded,
                                    credits => p_made.credits) AS done
             CROSS JOIN LATERAL unnest(p_roster.coach_ids, p_roster.scores, p_roster.weights, p_made.credits, p_made.lasts,
                                       p_made.excluded, done.shares, done.credits) WITH ORDINALITY
                 AS mate (coach_id, score, weight, credit, last, excluded, share, after, i));

-- What undoing a decision did with the team p_team: [{coach_id, weight, share, delta, last}, …] as above, of those who were
-- given something back.
CREATE OR REPLACE FUNCTION engine.reversal_json(p_made decision, p_was rosters, p_team rosters) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    RETURN (SELECT jsonb_agg(jsonb_build_object('coach_id', mate.coach_id, 'weight', mate.weight,
                                                'share', coalesce(mate.share, 0), 'delta', mate.delta,
                                                'last', nullif(mate.last, 0)) ORDER BY mate.i)
              FROM engine.reversal(p_made => p_made, p_was => p_was, p_team => p_team) AS undone
             CROSS JOIN LATERAL unnest(p_team.coach_ids, p_team.weights, undone.shares, undone.deltas, undone.lasts)
                 WITH ORDINALITY AS mate (coach_id, weight, share, delta, last, i)
             WHERE mate.delta IS NOT NULL);

-- What moving a coach's credit by an amount did to each of the rest: [{coach_id, weight, delta}, …], and then to the coach,
-- without a weight.
CREATE OR REPLACE FUNCTION engine.moved_json(p_made decision, p_roster rosters, p_amount bigint) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    RETURN (SELECT jsonb_agg(
                CASE WHEN mate.i = p_made.chosen
                     THEN jsonb_build_object('coach_id', mate.coach_id, 'delta', p_amount)
                     ELSE jsonb_build_object('coach_id', mate.coach_id, 'weight', mate.weight, 'delta', mate.delta) END
                ORDER BY mate.i = p_made.chosen, mate.i)
              FROM unnest(p_roster.coach_ids, p_roster.weights,
                          engine.spread_credit(p_amount => -p_amount, p_weights => p_roster.weights,
                                               p_except => p_made.chosen)) WITH ORDINALITY
                       AS mate (coach_id, weight, delta, i));

-- What a kind that was removed left to normal: [{coach_id, credit}, …].
CREATE OR REPLACE FUNCTION engine.removal_json(p_made decision, p_roster rosters) RETURNS jsonb LANGUAGE sql IMMUTABLE
    RETURN (SELECT coalesce(jsonb_agg(jsonb_build_object('coach_id', mate.coach_id, 'credit', mate.credit) ORDER BY mate.i), '[]')
              FROM unnest(p_roster.coach_ids, p_made.credits) WITH ORDINALITY AS mate (coach_id, credit, i));

-- The decisions alone. Without an appointment a credit was moved, and chosen says whose, or a kind was removed.
CREATE OR REPLACE VIEW decisions AS
SELECT calendar_id, kind, seq, appointment_id, policy, policy_version, roster_version, chosen, credits, lasts, excluded,
       reverses, reversed_in, decided_at
  FROM changes WHERE seq IS NOT NULL;

-- Each step of the record: assigned, reversed, left, adjusted, settled or removed (a kind of hour). kind is the one whose ledger
-- it moved, change_seq the number of the change that it is a part of. A decision that replaces another has two steps: the
-- reversal comes first.
CREATE OR REPLACE VIEW distribution_log AS
SELECT made.calendar_id, made.seq, made.appointment_id,
       CASE WHEN made.appointment_id IS NOT NULL THEN 'assigned' ELSE split_part(made.type, '.', 2) END AS step, made.kind,
       NULL::bigint AS reverses_seq, made.policy, made.policy_version, roster.coach_ids[made.chosen] AS chosen,
       CASE WHEN made.appointment_id IS NOT NULL THEN engine.assignment_json(engine.decision_of(made), roster)
            WHEN made.chosen IS NULL THEN engine.removal_json(engine.decision_of(made), roster)
            ELSE engine.moved_json(p_made => engine.decision_of(made), p_roster => roster,
                                   p_amount => coalesce((made.details ->> 'amount')::bigint, -made.credits[made.chosen]))
       END AS candidates, made.decided_at, made.seq AS change_seq, made.type
  FROM changes AS made
  JOIN rosters AS roster ON roster.calendar_id = made.calendar_id AND roster.version = made.roster_version
 WHERE made.seq IS NOT NULL AND made.credits IS NOT NULL
UNION ALL
SELECT step.calendar_id, step.seq - CASE WHEN step.chosen IS NULL THEN 0 ELSE 1 END, step.appointment_id, 'reversed',
       coalesce(step.reversed_in, step.kind), step.reverses, made.policy, made.policy_version, was.coach_ids[made.chosen],
       engine.reversal_json(p_made => engine.decision_of(made), p_was => was, p_team => team), step.decided_at, step.seq,
       step.type
  FROM changes AS step
  JOIN changes AS made ON made.calendar_id = step.calendar_id AND made.seq = step.reverses
  JOIN rosters AS was ON was.calendar_id = made.calendar_id AND was.version = made.roster_version
  JOIN rosters AS team ON team.calendar_id = step.calendar_id AND team.version = step.roster_version
 WHERE step.reverses IS NOT NULL;

-- Who is owed what, and who was chosen last.
CREATE OR REPLACE VIEW coach_credits AS
SELECT turn.calendar_id, turn.kind, mate.coach_id, mate.weight, mate.score, mate.absent, mate.credit,
       nullif(mate.last, 0) AS last_assigned_seq
  FROM turns AS turn
  JOIN rosters AS roster ON roster.calendar_id = turn.calendar_id AND roster.version = turn.roster_version
 CROSS JOIN LATERAL unnest(roster.coach_ids, roster.weights, roster.scores, roster.absent, turn.credits, turn.lasts)
     AS mate (coach_id, weight, score, absent, credit, last);
