-- Fairness: whose turn it is, how a decision moves the credits, and how it is undone. Arrays are in the roster's order.

-- The rule: whose turn it is among those who are not excluded (null: nobody is), and the credits after it; chosen is null
-- where everybody is excluded. fair_share is the weighted greedy carpool: the largest credit + share, then the least
-- recently chosen, then the lowest id; everybody eligible gains the share and the chosen one pays a booking. highest_score
-- goes by the score, with the same ties, and moves no credits. Shares are millionths, rounded down; the chosen one gets what
-- rounding leaves.
CREATE OR REPLACE FUNCTION engine.take_turn(
    p_policy text, p_weights bigint[], p_scores double precision[], p_lasts bigint[], p_excluded text[],
    INOUT credits bigint[], OUT chosen integer, OUT shares bigint[]
) LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_all   boolean := p_excluded IS NULL;
    v_total bigint := 0;
    v_given bigint := 0;
    v_share bigint;
    v_rank  double precision;
    v_best  double precision;
    v_due   bigint;
    v_top   bigint;
    v_moves boolean := p_policy <> 'highest_score';
BEGIN
    shares := CASE WHEN v_all THEN p_weights ELSE array_fill(NULL::bigint, ARRAY[cardinality(p_weights)]) END;
    FOR i IN 1 .. cardinality(p_weights) LOOP
        IF v_all OR p_excluded[i] IS NULL THEN
            v_total := v_total + p_weights[i];
        END IF;
    END LOOP;
    FOR i IN 1 .. cardinality(p_weights) LOOP
        CONTINUE WHEN NOT v_all AND p_excluded[i] IS NOT NULL;
        v_share := p_weights[i] * 1000000 / v_total;
        v_given := v_given + v_share;
        shares[i] := v_share;
        IF v_moves THEN
            v_due := credits[i] + v_share;
            credits[i] := v_due;
            IF chosen IS NULL OR v_due > v_top OR v_due = v_top AND p_lasts[i] < p_lasts[chosen] THEN
                v_top := v_due;
                chosen := i;
            END IF;
        ELSE
            v_rank := p_scores[i];
            IF chosen IS NULL OR v_rank > v_best OR v_rank = v_best AND p_lasts[i] < p_lasts[chosen] THEN
                v_best := v_rank;
                chosen := i;
            END IF;
        END IF;
    END LOOP;
    IF chosen IS NOT NULL THEN
        shares[chosen] := shares[chosen] + 1000000 - v_given;
        IF v_moves THEN
            credits[chosen] := credits[chosen] - v_given;
        END IF;
    END IF;
END $$;

-- Divides an amount of credit by weight among all but the place p_except; the lowest id gets what rounding leaves.
CREATE OR REPLACE FUNCTION engine.spread_credit(p_amount bigint, p_weights bigint[], p_except integer)
    RETURNS bigint[] LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(CASE WHEN i IS DISTINCT FROM p_except THEN
               part.share + CASE WHEN part.place = 1 THEN p_amount - part.given ELSE 0 END END ORDER BY i), '{}')
      FROM (SELECT one.i, one.share, sum(one.share) OVER ()::bigint AS given,
                   row_number() OVER (ORDER BY one.i IS NOT DISTINCT FROM p_except, one.i) AS place
              FROM (SELECT i, CASE WHEN i IS DISTINCT FROM p_except THEN
                               div(p_amount::numeric * weight,
                                   sum(weight) FILTER (WHERE i IS DISTINCT FROM p_except) OVER ())::bigint END AS share
                      FROM unnest(p_weights) WITH ORDINALITY AS mate (weight, i)) AS one) AS part
$$;

-- How undoing a decision moves the team of today: what each was given goes back, and what coaches who have left would give
-- back is divided among the rest. Null where nothing is undone: shares and lasts for those who were not eligible, deltas for
-- those to whom nothing comes back.
CREATE OR REPLACE FUNCTION engine.reversal(
    p_made decision, p_was rosters, p_team rosters, OUT shares bigint[], OUT deltas bigint[], OUT lasts bigint[]
) LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_ids  text[] := p_was.coach_ids;
    v_team text[] := p_team.coach_ids;
    v_size integer := cardinality(v_team);
    v_made record := engine.take_turn(p_policy => p_made.policy, p_weights => p_was.weights, p_scores => p_was.scores,
                                      p_lasts => p_made.lasts, p_excluded => p_made.excluded, credits => p_made.credits);
    v_shares bigint[] := v_made.shares;
    v_after  bigint[] := v_made.credits;
    v_before bigint[] := p_made.credits;
    v_lasts  bigint[] := p_made.lasts;
    v_gone bigint := 0;
    v_more bigint[];
    j      integer := 1;
BEGIN
    shares := array_fill(NULL::bigint, ARRAY[v_size]);
    deltas := shares;
    lasts := shares;
    FOR i IN 1 .. cardinality(v_ids) LOOP
        CONTINUE WHEN v_shares[i] IS NULL;
        WHILE j <= v_size AND v_team[j] COLLATE "C" < v_ids[i] LOOP
            j := j + 1;
        END LOOP;
        IF j <= v_size AND v_team[j] = v_ids[i] THEN
            shares[j] := -v_shares[i];
            deltas[j] := v_before[i] - v_after[i];
            lasts[j] := v_lasts[i];
        ELSE
            v_gone := v_gone + v_before[i] - v_after[i];
        END IF;
    END LOOP;
    IF v_gone <> 0 THEN
        v_more := engine.spread_credit(p_amount => v_gone, p_weights => p_team.weights, p_except => NULL);
        FOR k IN 1 .. v_size LOOP
            deltas[k] := coalesce(deltas[k], 0) + v_more[k];
        END LOOP;
    END IF;
END $$;

-- The decision that is part of a change, without the turns after it; null without one.
CREATE OR REPLACE FUNCTION engine.decision_of(c changes) RETURNS decision LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN c.seq IS NOT NULL THEN ROW(
        c.calendar_id, c.kind, c.seq, c.policy, c.policy_version, c.roster_version, c.chosen, c.credits, c.lasts, c.excluded,
        c.unmet, c.reverses, c.reversed_in, c.decided_at, NULL, NULL)::decision END;

-- The turns of the kind of an appointment's current decision as if that were undone, and its number; without a decision to undo
-- p_turn, and null. p_turn is that of normal. The caller has locked the calendar.
CREATE OR REPLACE FUNCTION engine.undone(
    p_turn turns, p_roster rosters, p_appointment uuid, OUT turn turns, OUT reverses bigint
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_found   record;
    v_made    decision;
    v_back    record;
    v_own     turns := p_turn;
    v_deltas  bigint[];
    v_credits bigint[];
    v_lasts   bigint[];
BEGIN
    turn := p_turn;
    SELECT engine.decision_of(made) AS made, was INTO v_found
      FROM changes AS made JOIN rosters AS was ON was.calendar_id = made.calendar_id AND was.version = made.roster_version
     WHERE made.appointment_id = p_appointment AND made.chosen IS NOT NULL
       AND NOT EXISTS (SELECT FROM changes AS later
                        WHERE later.appointment_id = p_appointment AND later.reverses = made.seq)
     ORDER BY made.seq DESC LIMIT 1;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    v_made := v_found.made;
    IF v_made.kind <> 'normal' THEN
        v_own := engine.turn_of(p_turn => p_turn, p_kind => engine.kind_now(p_calendar => p_turn.calendar_id,
                                                                            p_kind => v_made.kind, p_seq => v_made.seq));
    END IF;
    v_credits := v_own.credits;
    v_lasts := v_own.lasts;
    v_back := engine.reversal(p_made => v_made, p_was => v_found.was, p_team => p_roster);
    v_deltas := v_back.deltas;
    FOR i IN 1 .. cardinality(v_credits) LOOP
        IF v_deltas[i] IS NOT NULL THEN
            reverses := v_made.seq;
            v_credits[i] := v_credits[i] + v_deltas[i];
            -- The order of ties goes back too, unless the coach was chosen again since.
            IF v_lasts[i] = v_made.seq THEN
                v_lasts[i] := v_back.lasts[i];
            END IF;
        END IF;
    END LOOP;
    IF reverses IS NOT NULL THEN
        turn := v_own;
        turn.seq := turn.seq + 1;
        turn.credits := v_credits;
        turn.lasts := v_lasts;
    END IF;
END $$;

-- The decision that record_change() is to put on record, moving the turns. p_turn is as before the choice: with p_reverses it
-- has been undone() by that decision, or is another kind's than p_reversed_in, which was. p_chosen is a place in the roster, or
-- null for a reversal alone, and p_credits are those after it.
CREATE OR REPLACE FUNCTION engine.decide(
    p_turn turns, p_policy text, p_policy_version integer, p_chosen integer, p_credits bigint[], p_excluded text[],
    p_reverses bigint, p_now timestamptz, p_reversed_in text DEFAULT NULL, p_unmet integer[] DEFAULT NULL
) RETURNS decision LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_seq   bigint := p_turn.seq + CASE WHEN p_chosen IS NULL THEN 0 ELSE 1 END;
    v_lasts bigint[] := p_turn.lasts;
BEGIN
    IF p_chosen IS NOT NULL THEN
        v_lasts[p_chosen] := v_seq;
    END IF;
    RETURN ROW(p_turn.calendar_id, p_turn.kind, v_seq, p_policy, p_policy_version, p_turn.roster_version, p_chosen,
               CASE WHEN p_chosen IS NOT NULL THEN p_turn.credits END, CASE WHEN p_chosen IS NOT NULL THEN p_turn.lasts END,
               p_excluded, p_unmet, p_reverses, p_reversed_in, p_now, p_credits, v_lasts)::decision;
END $$;

-- What undoes an appointment's current decision, exactly, for record_change(); null if there is nothing to undo. The caller has locked the calendar.
CREATE OR REPLACE FUNCTION engine.reverse_decision(
    p_turn turns, p_roster rosters, p_appointment uuid, p_now timestamptz
) RETURNS decision LANGUAGE plpgsql AS $$
DECLARE
    v_undone record := engine.undone(p_turn => p_turn, p_roster => p_roster, p_appointment => p_appointment);
    v_turn   turns := v_undone.turn;
BEGIN
    RETURN CASE WHEN v_undone.reverses IS NOT NULL THEN engine.decide(
        p_turn => v_turn, p_policy => NULL, p_policy_version => NULL, p_chosen => NULL, p_credits => v_turn.credits,
        p_excluded => NULL, p_reverses => v_undone.reverses, p_now => p_now) END;
END $$;
