-- The weeks and months of coaches who have limits on them. What takes or gives back a coach's time keeps the rows that there
-- are; rows come with the coach's days and with a limit. Why so: docs/decisions/0104.

-- The rows that a coach has to have, as the appointments are. The caller has locked the calendars that can change them.
CREATE OR REPLACE FUNCTION engine.periods_of(p_coach text) RETURNS SETOF coach_periods LANGUAGE sql STABLE AS $$
    SELECT coach.coach_id, span.first_slot, rule.kind, span.end_slot, load.booked, load.minutes, rule.max_booked,
           rule.max_minutes
      FROM coaches AS coach
     CROSS JOIN LATERAL (SELECT min(local_date)::timestamp AS first_day, max(local_date)::timestamp AS last_day
                           FROM coach_slots AS day WHERE day.coach_id = coach.coach_id) AS stored
     CROSS JOIN LATERAL (VALUES ('week', interval '7 days', coach.max_per_week::integer, coach.max_minutes_per_week),
                                ('month', interval '1 month', coach.max_per_month::integer, NULL::integer))
                AS rule (kind, length, max_booked, max_minutes)
     CROSS JOIN LATERAL generate_series(date_trunc(rule.kind, stored.first_day), stored.last_day, rule.length) AS starts
     CROSS JOIN LATERAL (SELECT engine.day_start(p_zone => coach.time_zone, p_day => starts::date) AS starts_at,
                                engine.day_start(p_zone => coach.time_zone, p_day => (starts + rule.length)::date) AS ends_at
                        ) AS bounds
     CROSS JOIN LATERAL (SELECT engine.slot_of(bounds.starts_at) AS first_slot, engine.slot_of(bounds.ends_at) AS end_slot)
                AS span
     CROSS JOIN LATERAL (SELECT count(*)::integer AS booked,
                                coalesce(sum(engine.minutes_of(a.start_time, a.end_time)), 0)::integer AS minutes
                           FROM coach_appointments AS a
                          WHERE a.coach_id = coach.coach_id AND a.status IN ('held', 'scheduled', 'completed', 'no_show')
                            AND a.start_time >= bounds.starts_at AND a.start_time < bounds.ends_at) AS load
     WHERE coach.coach_id = p_coach AND (rule.max_booked IS NOT NULL OR rule.max_minutes IS NOT NULL)
$$;

-- Gives coaches the rows for days that were just stored; those without such limits get none.
CREATE OR REPLACE FUNCTION engine.add_periods(p_coaches text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_limited text[] := ARRAY(SELECT coach.coach_id FROM coaches AS coach
                               WHERE coach.coach_id = ANY (p_coaches) AND engine.has_periods(coach));
BEGIN
    IF v_limited <> '{}' THEN
        INSERT INTO coach_periods SELECT made.* FROM unnest(v_limited) AS one, engine.periods_of(one) AS made
        ON CONFLICT DO NOTHING;
    END IF;
END $$;

-- Rebuilds a coach's rows, for other limits, another zone or other days. The caller has locked the calendars of
-- calendars_of_coach().
CREATE OR REPLACE FUNCTION engine.refresh_periods(p_coach text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM engine.lock_periods(p_whole => ARRAY[p_coach], p_coaches => '{}', p_slots => '{}');
    DELETE FROM coach_periods WHERE coach_id = p_coach;
    INSERT INTO coach_periods SELECT * FROM engine.periods_of(p_coach);
END $$;

-- Locks all rows of the coaches p_whole, and of p_coaches those that have one of the slots, in the one order.
CREATE OR REPLACE FUNCTION engine.lock_periods(p_whole text[], p_coaches text[], p_slots integer[]) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM coach_periods AS period
      WHERE period.coach_id = ANY (p_whole)
         OR period.coach_id = ANY (p_coaches)
            AND EXISTS (SELECT FROM unnest(p_slots) AS slot WHERE slot >= period.first_slot AND slot < period.end_slot)
      ORDER BY period.coach_id, period.first_slot, period.kind FOR UPDATE;
END $$;

-- Counts an appointment in the coach's week and month, or with p_by = -1 no longer: what take_time() and release_time() do
-- besides.
CREATE OR REPLACE FUNCTION engine.count_in_periods(p_coach text, p_start timestamptz, p_end timestamptz, p_by integer)
    RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_slot    integer := engine.slot_of(p_start);
    v_minutes integer := engine.minutes_of(p_start, p_end);
BEGIN
    WITH locked AS MATERIALIZED (
        SELECT first_slot, kind FROM coach_periods
         WHERE coach_id = p_coach AND first_slot > v_slot - 3072 AND first_slot <= v_slot AND end_slot > v_slot
         ORDER BY first_slot, kind FOR NO KEY UPDATE
    )
    UPDATE coach_periods AS period
       SET booked = period.booked + p_by, minutes = period.minutes + p_by * v_minutes
      FROM locked
     WHERE period.coach_id = p_coach AND period.first_slot = locked.first_slot AND period.kind = locked.kind;
END $$;

-- Counts an appointment of p_minutes in the coach's week and month if both still admit it; otherwise raises 40001: the time is
-- taken already, so the transaction starts again and sees what was in the way. Waits for whoever has them locked.
CREATE OR REPLACE FUNCTION engine.claim_periods(p_coach text, p_slot integer, p_minutes integer) RETURNS void
    LANGUAGE plpgsql AS $$
DECLARE
    v_missed boolean;
BEGIN
    WITH locked AS MATERIALIZED (
        SELECT first_slot, kind FROM coach_periods
         WHERE coach_id = p_coach AND first_slot > p_slot - 3072 AND first_slot <= p_slot AND end_slot > p_slot
         ORDER BY first_slot, kind FOR NO KEY UPDATE
    ), claimed AS (
        UPDATE coach_periods AS period
           SET booked = period.booked + 1, minutes = period.minutes + p_minutes
          FROM locked
         WHERE period.coach_id = p_coach AND period.first_slot = locked.first_slot AND period.kind = locked.kind
           AND engine.period_refusal(period => period, p_minutes => p_minutes) IS NULL
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM locked) > (SELECT count(*) FROM claimed) INTO v_missed;
    IF v_missed THEN
        RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = 'the coach reached a limit meanwhile';
    END IF;
END $$;

-- Keeps tight_periods, and notes a change: a week or month is tight while it does not admit the longest appointment, of 720
-- minutes.
CREATE OR REPLACE FUNCTION engine.keep_tight_period() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_left integer := engine.minutes_left(NEW);
BEGIN
    IF v_left < 720 THEN
        INSERT INTO tight_periods AS tight VALUES (NEW.coach_id, NEW.first_slot, NEW.kind, NEW.end_slot, v_left)
        ON CONFLICT (coach_id, first_slot, kind) DO UPDATE SET minutes_left = excluded.minutes_left;
    ELSE
        DELETE FROM tight_periods WHERE (coach_id, first_slot, kind) = (NEW.coach_id, NEW.first_slot, NEW.kind);
    END IF;
    IF TG_OP = 'UPDATE' THEN  -- of those that come and go note_periods() notes the coach
        INSERT INTO availability_changes (coach_id) VALUES (NEW.coach_id);
    END IF;
    RETURN NULL;
END $$;

-- Takes the weeks and months that a statement deleted out of tight_periods. A foreign key would be looked at by each update of a
-- week, too.
CREATE OR REPLACE FUNCTION engine.forget_tight_periods() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM tight_periods AS tight USING periods AS gone
     WHERE (tight.coach_id, tight.first_slot, tight.kind) = (gone.coach_id, gone.first_slot, gone.kind);
    RETURN NULL;
END $$;

-- Created once, as in 16_rosters.sql. What is there already is added behind the lock that CREATE TRIGGER takes. The condition is
-- spelled out: a statement that updates a row plans it anew, which takes longer the more functions are in it.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'coach_periods'::regclass AND tgname = 'keep_tight_period') THEN
        DROP TRIGGER IF EXISTS note_period ON coach_periods;
        CREATE TRIGGER keep_tight_period AFTER UPDATE ON coach_periods
            FOR EACH ROW WHEN (
                (OLD.booked >= OLD.max_booked, least(OLD.max_minutes - OLD.minutes, 720))
                IS DISTINCT FROM (NEW.booked >= NEW.max_booked, least(NEW.max_minutes - NEW.minutes, 720)))
            EXECUTE FUNCTION engine.keep_tight_period();
        CREATE TRIGGER keep_new_tight_period AFTER INSERT ON coach_periods
            FOR EACH ROW WHEN (engine.minutes_left(NEW) < 720) EXECUTE FUNCTION engine.keep_tight_period();
        CREATE TRIGGER forget_tight_periods AFTER DELETE ON coach_periods REFERENCING OLD TABLE AS periods
            FOR EACH STATEMENT EXECUTE FUNCTION engine.forget_tight_periods();
        INSERT INTO tight_periods
        SELECT coach_id, first_slot, kind, end_slot, engine.minutes_left(period)
          FROM coach_periods AS period WHERE engine.minutes_left(period) < 720;
    END IF;
END $$;
