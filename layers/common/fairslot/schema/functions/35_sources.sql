-- Coaches' external calendars: what each leaves free, and what all of them come to. Why so: docs/decisions/0137.

-- What a kept answer says of a day: the slots that it does not cover are not free.
CREATE OR REPLACE FUNCTION engine.answer_bits(p_free varbit, p_first integer, p_day integer, p_count smallint)
    RETURNS bit(104) LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN p_day >= p_first THEN substring(p_free FROM p_day - p_first + 1 FOR p_count)::bit(104)
                WHEN p_day + p_count > p_first
                THEN substring(p_free FROM 1 FOR p_day + p_count - p_first)::bit(104) >> (p_first - p_day)
                ELSE 0::bit(104) END;

-- An answer in which some stretches of slots are free.
CREATE OR REPLACE FUNCTION engine.with_stretches(p_free varbit, p_first integer, p_stretches int4range[]) RETURNS varbit
    LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_end integer := p_first + length(p_free);
    v_one int4range;
BEGIN
    FOREACH v_one IN ARRAY p_stretches LOOP
        v_one := v_one * int4range(p_first, v_end);
        IF NOT isempty(v_one) THEN
            p_free := overlay(p_free PLACING repeat('1', upper(v_one) - lower(v_one))::varbit
                              FROM lower(v_one) - p_first + 1);
        END IF;
    END LOOP;
    RETURN p_free;
END $$;

-- What a coach's sources that are read, without one of them, leave free on a day together; one that was never read leaves
-- nothing.
CREATE OR REPLACE FUNCTION engine.sources_allow(p_coach text, p_except uuid, p_first integer, p_count smallint)
    RETURNS bit(104) LANGUAGE sql STABLE
    RETURN (SELECT coalesce(bit_and(coalesce(engine.answer_bits(p_free => answer.free, p_first => answer.first_slot,
                                                                p_day => p_first, p_count => p_count), 0::bit(104))),
                            engine.span_mask(p_offset => 0, p_length => p_count, p_count => p_count))
              FROM calendar_sources AS source LEFT JOIN source_answers AS answer USING (source_id)
             WHERE source.coach_id = p_coach AND source.reads AND source.source_id IS DISTINCT FROM p_except);

-- Opens and closes a coach's stored days as the sources and the absences say now.
CREATE OR REPLACE FUNCTION engine.combine_sources(p_coach text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_absent int4range[] := ARRAY(SELECT engine.slots_of(span) FROM coach_absences WHERE coach_id = p_coach);
BEGIN
    PERFORM FROM coach_slots AS day WHERE day.coach_id = p_coach ORDER BY day.first_slot FOR NO KEY UPDATE;
    UPDATE coach_slots AS day SET external = made.external
      FROM (SELECT one.first_slot,
                   engine.sources_allow(p_coach => p_coach, p_except => NULL, p_first => one.first_slot,
                                        p_count => one.slot_count)
                   & ~engine.day_mask(p_stretches => v_absent, p_first => one.first_slot,
                                      p_count => one.slot_count) AS external
              FROM coach_slots AS one WHERE one.coach_id = p_coach) AS made
     WHERE day.coach_id = p_coach AND day.first_slot = made.first_slot AND day.external <> made.external;
END $$;

-- Notes what a coach's sources come to: the oldest of their readings, null where one was never read. Nothing is noted of who
-- has none, or whose were never asked for.
CREATE OR REPLACE FUNCTION engine.refresh_sync(p_coach text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_one record;
BEGIN
    SELECT count(*) AS sources, min(first_requested_at) AS first_requested_at,
           coalesce(min(coalesce(first_requested_at, created_at)) FILTER (WHERE synced_at IS NULL),
                    min(first_requested_at)) AS waits_since,
           CASE WHEN bool_and(synced_at IS NOT NULL) THEN min(synced_at) END AS synced_at, max(failed_at) AS failed_at,
           coalesce(max(failures), 0) AS failures, (array_agg(error ORDER BY failures DESC))[1] AS error,
           coalesce(sum(unreadable_events), 0) AS unreadable, bool_or(failures > 0 OR synced_at IS NOT NULL) AS is_known
      INTO v_one FROM calendar_sources WHERE coach_id = p_coach AND reads;
    IF v_one.sources = 0 THEN
        DELETE FROM coach_syncs WHERE coach_id = p_coach;
        RETURN;
    END IF;
    UPDATE coach_syncs
       SET first_requested_at = coalesce(v_one.waits_since, first_requested_at), synced_at = v_one.synced_at,
           failed_at = v_one.failed_at, failures = v_one.failures, error = v_one.error, unreadable_events = v_one.unreadable
     WHERE coach_id = p_coach;
    IF NOT FOUND AND (v_one.is_known OR v_one.first_requested_at IS NOT NULL) THEN
        INSERT INTO coach_syncs (coach_id, first_requested_at, synced_at, failed_at, failures, error, unreadable_events)
        VALUES (p_coach, v_one.waits_since, v_one.synced_at, v_one.failed_at, v_one.failures, v_one.error, v_one.unreadable);
    END IF;
END $$;

-- Notes on coaches' rows what the sources come to, for the code of 0.1.0 and for whoever reads one row a coach.
CREATE OR REPLACE FUNCTION engine.describe_sources(p_coaches text[]) RETURNS void LANGUAGE sql AS $$
    UPDATE coaches AS coach SET calendar_kind = made.kind, calendar_url = made.url
      FROM (SELECT coach_id,
                   CASE WHEN count(*) FILTER (WHERE source.reads) = 0 THEN 'none'
                        WHEN bool_or(source.kind = 'calendar_api' AND source.writes) THEN 'calendar_api'
                        WHEN count(*) = 1 AND max(source.kind) = 'icalendar' THEN 'icalendar' ELSE 'sources' END AS kind,
                   CASE WHEN count(*) = 1 AND max(source.kind) IN ('icalendar', 'calendar_api') THEN max(source.url) END AS url
              FROM unnest(p_coaches) AS given (coach_id) LEFT JOIN calendar_sources AS source USING (coach_id)
             GROUP BY coach_id) AS made
     WHERE coach.coach_id = made.coach_id
       AND (coach.calendar_kind, coach.calendar_url) IS DISTINCT FROM (made.kind, made.url)
$$;

-- Has coaches' rows and readings follow when sources come. What rosters are made of is set by one statement for all of them, as
-- each one makes them again.
CREATE OR REPLACE FUNCTION engine.follow_new_sources() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_coaches text[] := ARRAY(SELECT DISTINCT coach_id FROM new_rows ORDER BY coach_id);
BEGIN
    PERFORM engine.describe_sources(v_coaches);
    UPDATE coach_syncs AS sync SET synced_at = NULL
     WHERE sync.synced_at IS NOT NULL
       AND EXISTS (SELECT FROM new_rows WHERE new_rows.coach_id = sync.coach_id AND reads AND new_rows.synced_at IS NULL);
    PERFORM engine.refresh_sync(one) FROM unnest(v_coaches) AS one;
    RETURN NULL;
END $$;

-- Has a coach's row, reading and days follow when a source goes, or is read or written otherwise.
CREATE OR REPLACE FUNCTION engine.follow_source() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_coach text := coalesce(NEW.coach_id, OLD.coach_id);
BEGIN
    PERFORM engine.describe_sources(ARRAY[v_coach]);
    PERFORM engine.refresh_sync(v_coach);
    PERFORM engine.combine_sources(v_coach);
    RETURN NULL;
END $$;

-- Makes the source that somebody who sets calendar_kind or calendar_url of a coach means; it takes the place of all others.
CREATE OR REPLACE FUNCTION engine.follow_columns() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF NEW.calendar_kind = 'sources' THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME,
            MESSAGE = 'calendar_kind follows from calendar_sources: set those';
    END IF;
    DELETE FROM calendar_sources WHERE coach_id = NEW.coach_id;
    IF NEW.calendar_kind <> 'none' THEN
        INSERT INTO calendar_sources (tenant_id, coach_id, kind, url, writes)
        VALUES (NEW.tenant_id, NEW.coach_id, NEW.calendar_kind, NEW.calendar_url, NEW.calendar_kind = 'calendar_api');
    END IF;
    RETURN NULL;
END $$;

-- Created once: replacing a trigger locks its table. A migration that wants another one drops it first. What the sources'
-- triggers set of a coach does not come back to them: that is one deeper.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'calendar_sources_follow') THEN
        CREATE TRIGGER calendar_sources_added AFTER INSERT ON calendar_sources REFERENCING NEW TABLE AS new_rows
            FOR EACH STATEMENT EXECUTE FUNCTION engine.follow_new_sources();
        CREATE TRIGGER calendar_sources_follow AFTER DELETE ON calendar_sources
            FOR EACH ROW EXECUTE FUNCTION engine.follow_source();
        CREATE TRIGGER calendar_sources_changed AFTER UPDATE OF kind, url, reads, writes, generation ON calendar_sources
            FOR EACH ROW WHEN ((OLD.kind, OLD.url, OLD.reads, OLD.writes, OLD.generation)
                               IS DISTINCT FROM (NEW.kind, NEW.url, NEW.reads, NEW.writes, NEW.generation))
            EXECUTE FUNCTION engine.follow_source();
        CREATE TRIGGER coaches_calendar_made AFTER INSERT ON coaches
            FOR EACH ROW WHEN (NEW.calendar_kind <> 'none' AND pg_trigger_depth() = 0)
            EXECUTE FUNCTION engine.follow_columns();
        CREATE TRIGGER coaches_calendar_set AFTER UPDATE OF calendar_kind, calendar_url ON coaches
            FOR EACH ROW WHEN ((OLD.calendar_kind, OLD.calendar_url) IS DISTINCT FROM (NEW.calendar_kind, NEW.calendar_url)
                               AND pg_trigger_depth() = 0)
            EXECUTE FUNCTION engine.follow_columns();
    END IF;
END $$;

-- The source that a reading is of, locked: by id and generation. Of an earlier release's messages, which have neither, it is
-- the only one that the coach has, as long as it is what it was then.
CREATE OR REPLACE FUNCTION engine.source_of_reading(p_coach text, p_source uuid, p_generation integer)
    RETURNS SETOF calendar_sources LANGUAGE sql AS $$
    SELECT * FROM calendar_sources AS source
     WHERE source.coach_id = p_coach AND source.reads
       AND CASE WHEN p_source IS NOT NULL THEN source.source_id = p_source AND source.generation = p_generation
                ELSE source.generation = 1 AND source.kind IN ('calendar_api', 'icalendar')
                     AND NOT EXISTS (SELECT FROM calendar_sources AS other
                                      WHERE other.coach_id = p_coach AND other.source_id <> source.source_id) END
       FOR NO KEY UPDATE OF source
$$;

-- Stores what one of a coach's calendars leaves free, and with it the days: what all that are read leave free, less absences;
-- our own blocks are free time. An older reading never overwrites a younger one. p_free has the slots from p_first on, and
-- p_unreadable is how many of its events could not be read. Raises 40001 if the coach is not as p_made_of says: the days have
-- to be made again.
CREATE OR REPLACE FUNCTION engine.store_reading(
    p_coach text, p_source uuid, p_generation integer, p_fetched_at timestamptz, p_first integer, p_free varbit,
    p_first_slots integer[], p_slot_counts smallint[], p_dates date[], p_working text[], p_max_per_day smallint,
    p_unreadable integer, p_tag text, p_made_of text
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_from   timestamptz := engine.instant_of(p_first_slots[1]);
    v_to     timestamptz := engine.instant_of(p_first_slots[cardinality(p_first_slots)] + 104);
    v_source calendar_sources;
    v_check  source_checks;
    v_alone  boolean;
    v_absent int4range[];
BEGIN
    PERFORM engine.lock_external_calendar(p_coach);
    IF NOT EXISTS (SELECT FROM coaches AS coach WHERE coach.coach_id = p_coach AND engine.made_of(coach) = p_made_of) THEN
        RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = 'the coach''s hours were changed meanwhile';
    END IF;
    SELECT * INTO v_source
      FROM engine.source_of_reading(p_coach => p_coach, p_source => p_source, p_generation => p_generation);
    IF NOT FOUND OR v_source.synced_at >= p_fetched_at THEN
        RETURN;
    END IF;
    -- What ended it since the reading began still does.
    IF v_source.ended IS NULL OR coalesce(v_source.failed_at < p_fetched_at, true) THEN
        v_source.ended := NULL;
        v_source.failed_at := NULL;
        v_source.failures := 0;
        v_source.error := NULL;
    END IF;
    UPDATE calendar_sources
       SET synced_at = p_fetched_at, unreadable_events = p_unreadable, tag = p_tag, failed_at = v_source.failed_at,
           failures = v_source.failures, error = v_source.error, ended = v_source.ended
     WHERE source_id = v_source.source_id;
    PERFORM engine.refresh_sync(p_coach);
    IF v_source.kind = 'calendar_api' THEN
        p_free := engine.with_stretches(
            p_free => p_free, p_first => p_first,
            p_stretches => ARRAY(SELECT int4range(own.first_slot, own.end_slot)
                                   FROM engine.own_time(p_coach => p_coach, p_from => v_from, p_to => v_to,
                                                        p_since => p_fetched_at) AS own));
    END IF;
    -- Busy time that somebody found since the reading began.
    FOR v_check IN SELECT * FROM source_checks WHERE source_id = v_source.source_id AND free IS NOT NULL
                      AND checked_at > p_fetched_at LOOP
        p_free := engine.less_busy(p_free => p_free, p_first => p_first, p_other => v_check.free,
                                   p_other_first => v_check.first_slot);
    END LOOP;
    INSERT INTO source_answers AS answer (source_id, first_slot, free) VALUES (v_source.source_id, p_first, p_free)
    ON CONFLICT (source_id) DO UPDATE SET first_slot = excluded.first_slot, free = excluded.free
     WHERE (answer.first_slot, answer.free) IS DISTINCT FROM (excluded.first_slot, excluded.free);
    v_alone := NOT EXISTS (SELECT FROM calendar_sources AS other
                            WHERE other.coach_id = p_coach AND other.reads AND other.source_id <> v_source.source_id);
    v_absent := ARRAY(SELECT engine.slots_of(span) FROM coach_absences
                     WHERE coach_id = p_coach AND span && tstzrange(v_from, v_to));
    INSERT INTO coach_slots AS day (coach_id, first_slot, slot_count, local_date, working, external, max_per_day)
    SELECT p_coach, given.first_slot, given.slot_count, given.local_date, given.working::bit(104),
           engine.answer_bits(p_free => p_free, p_first => p_first, p_day => given.first_slot, p_count => given.slot_count)
           & CASE WHEN v_alone THEN ~0::bit(104)
                  ELSE engine.sources_allow(p_coach => p_coach, p_except => v_source.source_id, p_first => given.first_slot,
                                            p_count => given.slot_count) END
           & ~coalesce(gone.bits, 0::bit(104)), p_max_per_day
      FROM unnest(p_first_slots, p_slot_counts, p_dates, p_working) WITH ORDINALITY
           AS given (first_slot, slot_count, local_date, working, day)
      LEFT JOIN engine.day_masks(p_stretches => v_absent, p_firsts => p_first_slots,
                                 p_counts => p_slot_counts) AS gone USING (day)
     ORDER BY given.first_slot
    ON CONFLICT (coach_id, first_slot) DO UPDATE
       SET working = excluded.working, max_per_day = excluded.max_per_day, external = excluded.external
     WHERE (day.working, day.max_per_day, day.external)
           IS DISTINCT FROM (excluded.working, excluded.max_per_day, excluded.external);
    PERFORM engine.add_periods(ARRAY[p_coach]);
END $$;
