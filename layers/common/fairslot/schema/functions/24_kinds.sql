-- Kinds of hours: each has a ledger of its own, so that nobody works more weekends than their share: docs/decisions/0108.

-- The kind of an appointment that starts at an instant: the first of the calendar's list that matches the local day and time in
-- its zone, else normal. An entry whose from is at or after its before is about a time that crosses midnight.
CREATE OR REPLACE FUNCTION engine.kind_of(p_calendar calendars, p_start timestamptz) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_kinds  jsonb := p_calendar.hour_kinds;
    v_local  timestamp;
    v_day    text;
    v_time   time;
    v_one    jsonb;
    v_from   time;
    v_before time;
BEGIN
    IF v_kinds = '[]' THEN
        RETURN 'normal';
    END IF;
    v_local := p_start AT TIME ZONE engine.full_zone(p_calendar.time_zone);
    v_day := ('{mon,tue,wed,thu,fri,sat,sun}'::text[])[extract(isodow FROM v_local)::integer];
    v_time := v_local::time;
    FOR i IN 0 .. jsonb_array_length(v_kinds) - 1 LOOP
        v_one := v_kinds -> i;
        CONTINUE WHEN NOT coalesce(v_one -> 'days' ? v_day, true);
        v_from := v_one ->> 'from';
        v_before := v_one ->> 'before';
        IF v_from >= v_before THEN
            CONTINUE WHEN v_time < v_from AND v_time >= v_before;
        ELSE
            CONTINUE WHEN v_time < v_from OR v_time >= v_before;
        END IF;
        RETURN v_one ->> 'name';
    END LOOP;
    RETURN 'normal';
END $$;

-- The kind whose ledger has what was decided for a kind under a number: its own, or normal once the kind was removed.
CREATE OR REPLACE FUNCTION engine.kind_now(p_calendar text, p_kind text, p_seq bigint) RETURNS text LANGUAGE sql STABLE
    RETURN CASE WHEN EXISTS (SELECT FROM turns AS turn WHERE turn.calendar_id = p_calendar AND turn.kind = p_kind
                                AND turn.since < p_seq) THEN p_kind ELSE 'normal' END;

-- The turns of another kind of the calendar, with the number of its last decision, which p_turn has.
CREATE OR REPLACE FUNCTION engine.turn_of(p_turn turns, p_kind text) RETURNS turns LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_turn turns;
BEGIN
    IF p_kind = p_turn.kind THEN
        RETURN p_turn;
    END IF;
    SELECT * INTO STRICT v_turn FROM turns WHERE calendar_id = p_turn.calendar_id AND kind = p_kind;
    v_turn.seq := p_turn.seq;
    RETURN v_turn;
END $$;

-- Ends the ledger of a kind: what is owed in it moves to normal, coach by coach. The caller has locked the calendar.
CREATE OR REPLACE FUNCTION engine.remove_kind(p_calendar calendars, p_kind text, p_now timestamptz) RETURNS void
    LANGUAGE plpgsql AS $$
DECLARE
    v_normal turns := (SELECT own.turn FROM engine.ledger(p_calendar.calendar_id) AS own);
    v_gone   turns := engine.turn_of(p_turn => v_normal, p_kind => p_kind);
BEGIN
    UPDATE turns
       SET credits = ARRAY(SELECT mate.credit + mate.moved
                             FROM unnest(v_normal.credits, v_gone.credits) WITH ORDINALITY AS mate (credit, moved, i)
                            ORDER BY mate.i)
     WHERE calendar_id = v_normal.calendar_id AND kind = 'normal';
    DELETE FROM turns WHERE calendar_id = v_normal.calendar_id AND kind = p_kind;
    PERFORM engine.record_change(
        p_tenant => p_calendar.tenant_id, p_type => 'kind.removed', p_now => p_now,
        p_decision => ROW(v_gone.calendar_id, p_kind, v_gone.seq + 1, p_calendar.policy, p_calendar.policy_version,
                          v_gone.roster_version, NULL, v_gone.credits, NULL, NULL, NULL, NULL, NULL, p_now, NULL,
                          NULL)::decision);
END $$;

-- Gives a calendar the ledgers of its kinds: a new one begins at 0, and one whose kind is gone ends. The caller has locked the
-- calendar.
CREATE OR REPLACE FUNCTION engine.use_kinds(p_calendar text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_calendar calendars := (SELECT own.calendar FROM engine.ledger(p_calendar) AS own);
    v_names    text[] := ARRAY(SELECT 'normal' UNION SELECT one ->> 'name' FROM jsonb_array_elements(v_calendar.hour_kinds) AS one);
    v_kind     text;
BEGIN
    FOR v_kind IN SELECT kind FROM turns WHERE calendar_id = p_calendar AND kind <> ALL (v_names) ORDER BY kind COLLATE "C" LOOP
        PERFORM engine.remove_kind(p_calendar => v_calendar, p_kind => v_kind, p_now => clock_timestamp());
    END LOOP;
    INSERT INTO turns (calendar_id, kind, roster_version, seq, since, credits, lasts)
    SELECT p_calendar, name, (own.turn).roster_version, (own.turn).seq, (own.turn).seq, zero.each, zero.each
      FROM unnest(v_names) AS name
     CROSS JOIN engine.ledger(p_calendar) AS own
     CROSS JOIN LATERAL array_fill(0::bigint, ARRAY[cardinality((own.turn).credits)]) AS zero (each)
    ON CONFLICT (calendar_id, kind) DO NOTHING;
END $$;

-- Keeps the ledgers of a calendar whose kinds of hours a statement changed.
CREATE OR REPLACE FUNCTION engine.follow_kinds() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM engine.lock_calendar(NEW.calendar_id);
    PERFORM engine.use_kinds(NEW.calendar_id);
    RETURN NULL;
END $$;

-- Created once, as in 16_rosters.sql; after calendars_made, by name, which begins the ledger of normal.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'calendars_made_with_kinds') THEN
        CREATE TRIGGER calendars_made_with_kinds AFTER INSERT ON calendars
            FOR EACH ROW WHEN (NEW.hour_kinds <> '[]') EXECUTE FUNCTION engine.follow_kinds();
        CREATE TRIGGER calendars_kinds AFTER UPDATE OF hour_kinds ON calendars
            FOR EACH ROW WHEN (OLD.hour_kinds <> NEW.hour_kinds) EXECUTE FUNCTION engine.follow_kinds();
    END IF;
END $$;
