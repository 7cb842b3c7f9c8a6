-- Teams: who leaves, how scores make weights, and the rosters that triggers keep right whoever changes a team.
--
-- A roster follows from coach_calendars, coaches, coach_syncs and the calendar's weight_* and requires: each of them has a trigger, once a
-- statement, so that a change by hand counts as one by a function does (docs/decisions/0081).

-- A calendar's team as it is now. A weight is clip((score / team mean)^exponent, low, high), times the manual weight.
CREATE OR REPLACE FUNCTION engine.roster_of(p_calendar text) RETURNS rosters LANGUAGE sql STABLE AS $$
    SELECT p_calendar, NULL::integer, NULL::bigint, coalesce(array_agg(mate.coach_id ORDER BY mate.coach_id COLLATE "C"), '{}'),
           coalesce(array_agg(greatest(1, round(1000000 * mate.manual_weight * least(mate.weight_high, greatest(
               mate.weight_low, CASE WHEN mate.mean > 0 THEN power(mate.score / mate.mean, mate.weight_exponent)
                                     ELSE 1 END))))::bigint ORDER BY mate.coach_id COLLATE "C"), '{}'),
           coalesce(array_agg(mate.score ORDER BY mate.coach_id COLLATE "C"), '{}'),
           coalesce(array_agg(CASE WHEN NOT mate.active THEN 'inactive'
                                   WHEN mate.unmet > 0 THEN 'missing_attribute'
                                   WHEN mate.calendar_kind <> 'none' AND mate.synced_at IS NULL THEN 'not_synced' END
                              ORDER BY mate.coach_id COLLATE "C"), '{}'),
           CASE WHEN max(greatest(mate.before, mate.after)) > 0
                THEN array_agg(mate.before ORDER BY mate.coach_id COLLATE "C") END,
           CASE WHEN max(greatest(mate.before, mate.after)) > 0
                THEN array_agg(mate.after ORDER BY mate.coach_id COLLATE "C") END,
           CASE WHEN max(mate.notice) > 0 THEN array_agg(mate.notice ORDER BY mate.coach_id COLLATE "C") END,
           CASE WHEN bool_or(mate.limited) THEN array_agg(mate.limited ORDER BY mate.coach_id COLLATE "C") END,
           (SELECT requires FROM calendars WHERE calendar_id = p_calendar),
           CASE WHEN bool_or(mate.unmet > 0) THEN array_agg(mate.unmet ORDER BY mate.coach_id COLLATE "C") END
      FROM (SELECT coach.coach_id, coach.score, coach.active, coach.calendar_kind, sync.synced_at, member.manual_weight,
                   greatest(coach.buffer_before, member.buffer_before) / 15 AS before,
                   greatest(coach.buffer_after, member.buffer_after) / 15 AS after,
                   greatest(coach.min_notice_minutes, member.min_notice_minutes) AS notice,
                   engine.has_periods(coach) AS limited, coalesce(judged.unmet, 0) AS unmet, calendar.weight_low, calendar.weight_high, calendar.weight_exponent, avg(coach.score) OVER () AS mean
              FROM coach_calendars AS member
              JOIN calendars AS calendar USING (calendar_id)
              JOIN coaches AS coach USING (coach_id)
              LEFT JOIN coach_syncs AS sync USING (coach_id)
              LEFT JOIN engine.unmet_in_team(p_calendar) AS judged USING (coach_id)
             WHERE member.calendar_id = p_calendar) AS mate
$$;

-- Makes a roster the calendar's: a new version if a decision used the old one. Everybody keeps their turns, and a newcomer has
-- no credit and no debt, so that bookings neither flood nor pass them. The caller has locked the calendar.
CREATE OR REPLACE FUNCTION engine.use_roster(p_roster rosters) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_old  rosters;
    v_seq  bigint;
    v_used boolean;
BEGIN
    SELECT roster.* INTO v_old FROM rosters AS roster WHERE calendar_id = p_roster.calendar_id ORDER BY version DESC LIMIT 1;
    p_roster.version := v_old.version;
    p_roster.since := v_old.since;
    IF p_roster IS NOT DISTINCT FROM v_old THEN
        RETURN;
    END IF;
    SELECT max(seq) INTO v_seq FROM turns WHERE calendar_id = p_roster.calendar_id;
    v_used := v_seq > v_old.since;
    p_roster.version := v_old.version + v_used::integer;
    p_roster.since := CASE WHEN v_used THEN v_seq ELSE v_old.since END;
    DELETE FROM rosters WHERE calendar_id = p_roster.calendar_id AND version = p_roster.version;
    INSERT INTO rosters SELECT p_roster.*;
    UPDATE turns AS turn SET roster_version = p_roster.version, (credits, lasts) = (
        SELECT coalesce(array_agg(coalesce(was.credit, 0) ORDER BY mate.i), '{}'),
               coalesce(array_agg(coalesce(was.last, 0) ORDER BY mate.i), '{}')
          FROM unnest(p_roster.coach_ids) WITH ORDINALITY AS mate (coach_id, i)
          LEFT JOIN unnest(v_old.coach_ids, turn.credits, turn.lasts) AS was (coach_id, credit, last) USING (coach_id))
     WHERE turn.calendar_id = p_roster.calendar_id;
END $$;

-- Takes a coach out of a calendar's roster; what was owed in each ledger goes to the rest. The caller has locked the calendar.
CREATE OR REPLACE FUNCTION engine.retire_coach(p_calendar text, p_coach text, p_now timestamptz) RETURNS void
    LANGUAGE plpgsql AS $$
DECLARE
    v_roster rosters := (SELECT own.roster FROM engine.ledger(p_calendar) AS own);
    v_place  integer := array_position(v_roster.coach_ids, p_coach);
BEGIN
    PERFORM engine.settle_credits(p_calendar => p_calendar, p_coach => p_coach, p_type => 'coach.left', p_details => NULL,
                                  p_now => p_now);
    v_roster.coach_ids := v_roster.coach_ids[:v_place - 1] || v_roster.coach_ids[v_place + 1:];
    v_roster.weights := v_roster.weights[:v_place - 1] || v_roster.weights[v_place + 1:];
    v_roster.scores := v_roster.scores[:v_place - 1] || v_roster.scores[v_place + 1:];
    v_roster.absent := v_roster.absent[:v_place - 1] || v_roster.absent[v_place + 1:];
    v_roster.buffers_before := v_roster.buffers_before[:v_place - 1] || v_roster.buffers_before[v_place + 1:];
    v_roster.buffers_after := v_roster.buffers_after[:v_place - 1] || v_roster.buffers_after[v_place + 1:];
    v_roster.notices := v_roster.notices[:v_place - 1] || v_roster.notices[v_place + 1:];
    v_roster.limited := v_roster.limited[:v_place - 1] || v_roster.limited[v_place + 1:];
    v_roster.unmet := v_roster.unmet[:v_place - 1] || v_roster.unmet[v_place + 1:];
    PERFORM engine.use_roster(v_roster);
END $$;

-- Brings the rosters of calendars up to date; those that are gone are left out.
CREATE OR REPLACE FUNCTION engine.refresh_rosters(p_calendars text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_calendar text;
    v_gone     text;
BEGIN
    PERFORM engine.lock_calendars(p_calendars);
    FOR v_calendar IN SELECT calendar_id FROM calendars WHERE calendar_id = ANY (p_calendars) LOOP
        FOR v_gone IN
            SELECT mate.coach_id FROM engine.ledger(v_calendar) AS own, unnest((own.roster).coach_ids) AS mate (coach_id)
             WHERE NOT EXISTS (SELECT FROM coach_calendars AS member
                                WHERE member.calendar_id = v_calendar AND member.coach_id = mate.coach_id)
        LOOP
            PERFORM engine.retire_coach(p_calendar => v_calendar, p_coach => v_gone, p_now => clock_timestamp());
        END LOOP;
        PERFORM engine.use_roster(engine.roster_of(v_calendar));
    END LOOP;
END $$;

-- Updates a coach's score, a Beta belief whose prior is the team's mean: the evidence so far fades, then the outcome
-- counts one. Every calendar of the coach gets new weights; the caller has locked them.
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
    UPDATE coaches AS coach
       SET alpha = belief.alpha, beta = belief.beta, score = belief.alpha / (belief.alpha + belief.beta),
           evidence_at = p_now, updated_at = p_now
      FROM (SELECT greatest(p_calendar.prior_strength * v_mean + v_one.alpha * v_fades, 1e-6)
                       + CASE WHEN p_completed THEN 1 ELSE 0 END AS alpha,
                   greatest(p_calendar.prior_strength * (1 - v_mean) + v_one.beta * v_fades, 1e-6)
                       + CASE WHEN p_completed THEN 0 ELSE 1 END AS beta) AS belief
     WHERE coach.coach_id = p_coach;
END $$;

-- Keeps the rosters of the calendars whose team a statement changed.
CREATE OR REPLACE FUNCTION engine.follow_members() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_calendars text[] := '{}';
BEGIN
    IF TG_OP <> 'INSERT' THEN
        v_calendars := ARRAY(SELECT DISTINCT calendar_id FROM old_rows);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        v_calendars := v_calendars || ARRAY(SELECT DISTINCT calendar_id FROM new_rows);
    END IF;
    PERFORM engine.refresh_rosters(v_calendars);
    RETURN NULL;
END $$;

-- Keeps the rosters of the coaches of whom a statement changed what rosters say, and their weeks and months.
CREATE OR REPLACE FUNCTION engine.follow_coaches() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_coaches text[] := ARRAY(
        SELECT coach_id FROM old_rows AS was JOIN new_rows AS coach USING (coach_id)
         WHERE (engine.has_periods(was) OR engine.has_periods(coach))
           AND (was.max_per_week, was.max_per_month, was.max_minutes_per_week, was.time_zone)
               IS DISTINCT FROM (coach.max_per_week, coach.max_per_month, coach.max_minutes_per_week, coach.time_zone)
         ORDER BY coach_id);
BEGIN
    IF v_coaches <> '{}' THEN
        PERFORM engine.lock_calendars_of(p_coaches => v_coaches, p_from => NULL);
    END IF;
    PERFORM engine.refresh_rosters(ARRAY(
        SELECT member.calendar_id FROM old_rows AS was JOIN new_rows AS coach USING (coach_id)
          JOIN coach_calendars AS member USING (coach_id)
         WHERE (was.active, was.score, was.calendar_kind, was.attributes)
               IS DISTINCT FROM (coach.active, coach.score, coach.calendar_kind, coach.attributes)
            OR engine.has_periods(was) <> engine.has_periods(coach)
            OR (was.buffer_before, was.buffer_after, was.min_notice_minutes)
               IS DISTINCT FROM (coach.buffer_before, coach.buffer_after, coach.min_notice_minutes)));
    PERFORM engine.refresh_periods(one) FROM unnest(v_coaches) AS one;
    RETURN NULL;
END $$;

-- Keeps the rosters of the coaches whose external calendar was read for the first time, or counts as never read again.
CREATE OR REPLACE FUNCTION engine.follow_readings() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_coaches text[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        v_coaches := ARRAY(SELECT coach_id FROM new_rows WHERE synced_at IS NOT NULL);
    ELSIF TG_OP = 'DELETE' THEN
        v_coaches := ARRAY(SELECT coach_id FROM old_rows WHERE synced_at IS NOT NULL);
    ELSE
        v_coaches := ARRAY(SELECT coach_id FROM old_rows AS was JOIN new_rows AS sync USING (coach_id)
                            WHERE (was.synced_at IS NULL) <> (sync.synced_at IS NULL));
    END IF;
    IF v_coaches <> '{}' THEN
        PERFORM engine.refresh_rosters(ARRAY(SELECT calendar_id FROM coach_calendars WHERE coach_id = ANY (v_coaches)));
    END IF;
    RETURN NULL;
END $$;

-- Gives a new calendar an empty roster and turns.
CREATE OR REPLACE FUNCTION engine.begin_ledger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rosters (calendar_id, version, since, coach_ids, weights, scores, absent, requires)
    VALUES (NEW.calendar_id, 1, 0, '{}', '{}', '{}', '{}', NEW.requires);
    INSERT INTO turns (calendar_id, roster_version, seq, credits, lasts) VALUES (NEW.calendar_id, 1, 0, '{}', '{}');
    RETURN NULL;
END $$;

-- Keeps the roster of a calendar whose weights are derived in another way, or which requires other attributes.
CREATE OR REPLACE FUNCTION engine.follow_calendar() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM engine.refresh_rosters(ARRAY[NEW.calendar_id]);
    RETURN NULL;
END $$;

-- Refuses to delete or rename what has appointments, as a foreign key would; decisions go with their calendar.
CREATE OR REPLACE FUNCTION engine.keep_booked() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_by_calendar boolean := TG_TABLE_NAME = 'calendars';
    v_id          text := CASE WHEN v_by_calendar THEN to_jsonb(OLD) ->> 'calendar_id' ELSE to_jsonb(OLD) ->> 'coach_id' END;
BEGIN
    PERFORM engine.lock_calendars(CASE WHEN v_by_calendar THEN ARRAY[v_id]
                                       ELSE ARRAY(SELECT calendar_id FROM coach_calendars WHERE coach_id = v_id) END);
    IF EXISTS (SELECT FROM coach_appointments WHERE v_by_calendar AND calendar_id = v_id)
       OR EXISTS (SELECT FROM coach_appointments WHERE NOT v_by_calendar AND coach_id = v_id) THEN
        RAISE EXCEPTION USING ERRCODE = 'foreign_key_violation', TABLE = TG_TABLE_NAME,
            MESSAGE = format('"%s" of table %s has appointments; delete those first', v_id, TG_TABLE_NAME);
    END IF;
    IF v_by_calendar THEN
        DELETE FROM changes WHERE calendar_id = v_id;
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;

-- Created once: replacing a trigger locks its table. A migration that wants another one drops it first.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'coach_calendars_joined') THEN
        CREATE TRIGGER coach_calendars_joined AFTER INSERT ON coach_calendars
            REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION engine.follow_members();
        CREATE TRIGGER coach_calendars_changed AFTER UPDATE ON coach_calendars
            REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT
            EXECUTE FUNCTION engine.follow_members();
        CREATE TRIGGER coach_calendars_left AFTER DELETE ON coach_calendars
            REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION engine.follow_members();
        CREATE TRIGGER coaches_changed AFTER UPDATE ON coaches
            REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT
            EXECUTE FUNCTION engine.follow_coaches();
        CREATE TRIGGER coach_syncs_first AFTER INSERT ON coach_syncs
            REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION engine.follow_readings();
        CREATE TRIGGER coach_syncs_changed AFTER UPDATE ON coach_syncs
            REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT
            EXECUTE FUNCTION engine.follow_readings();
        CREATE TRIGGER coach_syncs_gone AFTER DELETE ON coach_syncs
            REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION engine.follow_readings();
        CREATE TRIGGER calendars_made AFTER INSERT ON calendars
            FOR EACH ROW EXECUTE FUNCTION engine.begin_ledger();
        CREATE TRIGGER calendars_weigh AFTER UPDATE OF weight_low, weight_high, weight_exponent, requires ON calendars
            FOR EACH ROW WHEN ((OLD.weight_low, OLD.weight_high, OLD.weight_exponent, OLD.requires)
                               IS DISTINCT FROM (NEW.weight_low, NEW.weight_high, NEW.weight_exponent, NEW.requires))
            EXECUTE FUNCTION engine.follow_calendar();
        CREATE TRIGGER calendars_booked BEFORE DELETE OR UPDATE OF calendar_id ON calendars
            FOR EACH ROW EXECUTE FUNCTION engine.keep_booked();
        CREATE TRIGGER coaches_booked BEFORE DELETE OR UPDATE OF coach_id ON coaches
            FOR EACH ROW EXECUTE FUNCTION engine.keep_booked();
    END IF;
END $$;
