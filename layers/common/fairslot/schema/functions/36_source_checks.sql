-- Asking the chosen coach's calendars once more before a booking, outside every lock: docs/decisions/0139.

-- Whether a coach's calendars were all asked about the slots [p_from, p_to) since then: false where one could not be read, null
-- where one was not asked.
CREATE OR REPLACE FUNCTION engine.was_checked(p_coach text, p_from integer, p_to integer, p_since timestamptz) RETURNS boolean
    LANGUAGE sql STABLE
    RETURN (SELECT CASE WHEN bool_and(seen.answered IS NOT NULL) IS NOT FALSE THEN coalesce(bool_and(seen.answered), true) END
              FROM calendar_sources AS source
             CROSS JOIN LATERAL (
                SELECT CASE WHEN source.synced_at >= p_since THEN true
                            ELSE (SELECT asked.free IS NOT NULL FROM source_checks AS asked
                                   WHERE asked.source_id = source.source_id AND asked.checked_at >= p_since
                                     AND asked.first_slot <= p_from AND asked.first_slot + asked.slot_count >= p_to
                                   ORDER BY asked.checked_at DESC LIMIT 1) END AS answered) AS seen
             WHERE source.coach_id = p_coach AND source.reads);

-- A roster in which nobody can be booked whose calendars could not be asked about the slots [p_from, p_to) since then.
CREATE OR REPLACE FUNCTION engine.checked_roster(p_roster rosters, p_from integer, p_to integer, p_since timestamptz)
    RETURNS rosters LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_failed text[] := ARRAY(
        SELECT DISTINCT source.coach_id FROM source_checks AS asked JOIN calendar_sources AS source USING (source_id)
         WHERE asked.free IS NULL AND asked.checked_at >= p_since AND source.coach_id = ANY (p_roster.coach_ids)
           AND engine.was_checked(p_coach => source.coach_id, p_from => p_from, p_to => p_to, p_since => p_since) = false);
BEGIN
    IF v_failed <> '{}' THEN
        p_roster.absent := ARRAY(
            SELECT coalesce(mate.absent, CASE WHEN mate.coach_id = ANY (v_failed) THEN 'unverified' END)
              FROM unnest(p_roster.coach_ids, p_roster.absent) WITH ORDINALITY AS mate (coach_id, absent, i)
             ORDER BY mate.i);
    END IF;
    RETURN p_roster;
END $$;

-- Raises FS428 if a coach's calendars were not asked about the slots [p_from, p_to) in the last ten seconds: who books asks them
-- in no transaction, and books again.
CREATE OR REPLACE FUNCTION engine.require_check(p_coach text, p_from integer, p_to integer, p_now timestamptz) RETURNS void
    LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF engine.was_checked(p_coach => p_coach, p_from => p_from, p_to => p_to,
                          p_since => p_now - interval '10 seconds') IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'FS428', MESSAGE = 'calendars are to be asked',
            DETAIL = jsonb_build_object('coach_id', p_coach, 'first_slot', p_from, 'slot_count', p_to - p_from);
    END IF;
END $$;

-- What is free by an answer and by another one of fewer slots, which lie in it; else the answer as it is.
CREATE OR REPLACE FUNCTION engine.less_busy(p_free varbit, p_first integer, p_other varbit, p_other_first integer) RETURNS varbit
    LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN p_other_first >= p_first AND p_other_first + length(p_other) <= p_first + length(p_free)
                THEN overlay(p_free PLACING substring(p_free FROM p_other_first - p_first + 1 FOR length(p_other)) & p_other
                             FROM p_other_first - p_first + 1)
                ELSE p_free END;

-- Stores what a source said of some slots, null: that it could not be read. Busy time that it found closes the coach's days, and
-- stays in what is kept of the source until a reading that began later; free time opens nothing.
CREATE OR REPLACE FUNCTION engine.store_check(
    p_coach text, p_source uuid, p_generation integer, p_checked_at timestamptz, p_first integer, p_count integer, p_free varbit
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_source calendar_sources;
BEGIN
    PERFORM engine.lock_external_calendar(p_coach);
    SELECT * INTO v_source
      FROM engine.source_of_reading(p_coach => p_coach, p_source => p_source, p_generation => p_generation);
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF v_source.kind = 'calendar_api' AND p_free IS NOT NULL THEN
        p_free := engine.with_stretches(
            p_free => p_free, p_first => p_first,
            p_stretches => ARRAY(SELECT int4range(own.first_slot, own.end_slot)
                                   FROM engine.own_time(p_coach => p_coach, p_from => engine.instant_of(p_first),
                                                        p_to => engine.instant_of(p_first + p_count),
                                                        p_since => p_checked_at) AS own));
    END IF;
    DELETE FROM source_checks WHERE source_id = p_source AND checked_at < p_checked_at - interval '1 minute';
    INSERT INTO source_checks AS asked (source_id, first_slot, slot_count, checked_at, free)
    VALUES (p_source, p_first, p_count, p_checked_at, p_free)
    ON CONFLICT (source_id, first_slot, slot_count) DO UPDATE SET checked_at = excluded.checked_at, free = excluded.free
     WHERE asked.checked_at < excluded.checked_at;
    IF p_free IS NULL OR v_source.synced_at >= p_checked_at THEN
        RETURN;
    END IF;
    UPDATE source_answers AS answer
       SET free = engine.less_busy(p_free => answer.free, p_first => answer.first_slot, p_other => p_free,
                                   p_other_first => p_first)
     WHERE answer.source_id = p_source;
    PERFORM FROM coach_slots AS day
      WHERE day.coach_id = p_coach AND day.first_slot > p_first - 104 AND day.first_slot < p_first + p_count
      ORDER BY day.first_slot FOR NO KEY UPDATE;
    UPDATE coach_slots AS day
       SET external = day.external & ~engine.answer_bits(p_free => ~p_free, p_first => p_first, p_day => day.first_slot,
                                                         p_count => day.slot_count)
     WHERE day.coach_id = p_coach AND day.first_slot > p_first - 104 AND day.first_slot < p_first + p_count
       AND (day.external & engine.answer_bits(p_free => ~p_free, p_first => p_first, p_day => day.first_slot,
                                              p_count => day.slot_count)) <> 0::bit(104);
END $$;
