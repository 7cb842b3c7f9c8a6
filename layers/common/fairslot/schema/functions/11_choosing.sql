-- Choosing the coach for a time, and taking it. What each part costs: docs/decisions/0020.

-- Why a day does not admit an appointment that lies in it with its buffers, or null if it does. Our own bookings come before
-- the external calendar, which may be busy because of them.
CREATE OR REPLACE FUNCTION engine.day_refusal(
    day coach_slots, p_from integer, p_to integer, p_before integer, p_after integer
) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN engine.day_admits(day => day, p_from => p_from, p_to => p_to, p_before => p_before, p_after => p_after) THEN NULL
        WHEN NOT engine.has_slots(p_bits => day.working, p_first => day.first_slot, p_count => day.slot_count,
                                  p_from => p_from, p_to => p_to) THEN 'outside_working_hours'
        WHEN NOT engine.has_slots(p_bits => ~day.taken, p_first => day.first_slot, p_count => day.slot_count,
                                  p_from => p_from, p_to => p_to) THEN 'booked'
        WHEN NOT engine.has_slots(p_bits => day.external, p_first => day.first_slot, p_count => day.slot_count,
                                  p_from => p_from, p_to => p_to) THEN 'busy_external'
        WHEN day.booked >= day.max_per_day
             AND p_from >= day.first_slot AND p_from < day.first_slot + day.slot_count THEN 'daily_maximum'
        ELSE 'buffer' END;

-- The same for an appointment that lies in several of a coach's days, or in none that is stored.
CREATE OR REPLACE FUNCTION engine.days_refusal(
    p_coach text, p_from integer, p_to integer, p_before integer, p_after integer
) RETURNS text LANGUAGE sql STABLE
    RETURN (SELECT CASE WHEN coalesce(sum(least(day.first_slot + day.slot_count, p_to + p_after)
                                          - greatest(day.first_slot, p_from - p_before)), 0)
                             < p_before + p_to - p_from + p_after THEN 'not_synced'
                        ELSE (array_agg(refusal ORDER BY array_position(
                                 '{outside_working_hours,booked,busy_external,daily_maximum,buffer}', refusal)))[1] END
              FROM coach_slots AS day
             CROSS JOIN LATERAL engine.day_refusal(day => day, p_from => p_from, p_to => p_to, p_before => p_before,
                                                   p_after => p_after) AS refusal
             WHERE day.coach_id = p_coach AND day.first_slot > p_from - p_before - 104 AND day.first_slot < p_to + p_after
               AND day.first_slot + day.slot_count > p_from - p_before);

-- Why each coach of a roster cannot take the slots [p_from, p_to) with buffers, null for those who can: excluded is null if
-- all can. days has the first slot of the day in which it all lies, or null where it takes several of the coach's days. A
-- coach's own buffers hold where they are larger, and so does the notice, by p_now.
--
-- Postgres would plan the statement again for every team: that takes ten times as long as it runs.
CREATE OR REPLACE FUNCTION engine.look_at_team(
    p_roster rosters, p_from integer, p_to integer, p_before integer, p_after integer, p_now timestamptz,
    OUT days integer[], OUT excluded text[]
) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_lead integer := CASE WHEN p_roster.notices IS NOT NULL
                           THEN engine.minutes_of(p_now, engine.instant_of(p_from)) END;
BEGIN
    SELECT array_agg(one.first_slot), CASE WHEN count(one.refusal) > 0 THEN array_agg(one.refusal) END INTO days, excluded
      FROM (SELECT day.first_slot,
                   CASE WHEN mate.absent IS NOT NULL THEN mate.absent
                        WHEN mate.notice > v_lead THEN 'minimum_notice'
                        ELSE coalesce(
                            CASE WHEN day.coach_id IS NULL
                                 THEN engine.days_refusal(p_coach => mate.coach_id, p_from => p_from, p_to => p_to,
                                                          p_before => greatest(p_before, mate.own_before),
                                                          p_after => greatest(p_after, mate.own_after))
                                 ELSE engine.day_refusal(day => day, p_from => p_from, p_to => p_to,
                                                         p_before => greatest(p_before, mate.own_before),
                                                         p_after => greatest(p_after, mate.own_after)) END,
                            CASE WHEN mate.limited THEN (
                                SELECT engine.period_refusal(period => period, p_minutes => (p_to - p_from) * 15) AS refusal
                                  FROM coach_periods AS period
                                 WHERE period.coach_id = mate.coach_id AND period.first_slot > p_from - 3072
                                   AND period.first_slot <= p_from AND period.end_slot > p_from
                                 ORDER BY refusal DESC NULLS LAST LIMIT 1) END) END AS refusal
              FROM unnest(p_roster.coach_ids, p_roster.absent, p_roster.buffers_before, p_roster.buffers_after,
                          p_roster.notices, p_roster.limited) WITH ORDINALITY
                   AS mate (coach_id, absent, own_before, own_after, notice, limited, i)
              LEFT JOIN coach_slots AS day
                ON day.coach_id = mate.coach_id AND day.first_slot > p_from - greatest(p_before, mate.own_before) - 104
               AND day.first_slot <= p_from - greatest(p_before, mate.own_before)
               AND day.first_slot + day.slot_count >= p_to + greatest(p_after, mate.own_after)
             ORDER BY mate.i) AS one;
END $$;

-- A calendar's coaches for p_count slots from p_from with buffers, why each of them is not free at p_now, or null, and what they
-- do not meet of what the calendar requires, and of p_requires.
CREATE OR REPLACE FUNCTION engine.candidates(
    p_calendar text, p_from integer, p_count integer, p_before integer, p_after integer,
    p_now timestamptz DEFAULT statement_timestamp(), p_requires text[] DEFAULT NULL
) RETURNS TABLE (
    coach_id text, excluded text, before integer, after integer, requires text[], unmet integer, also_unmet integer
) LANGUAGE sql STABLE AS $$
    SELECT mate.coach_id, mate.excluded, greatest(p_before, mate.own_before), greatest(p_after, mate.own_after),
           (own.roster).requires, coalesce(mate.unmet, 0), coalesce(mate.also_unmet, 0)
      FROM engine.ledger(p_calendar) AS own
     CROSS JOIN LATERAL engine.eligible_roster(p_roster => own.roster, p_requires => p_requires) AS may
     CROSS JOIN LATERAL engine.look_at_team(p_roster => engine.verified_roster(
                                                p_roster => may.roster,
                                                p_since => (SELECT engine.verified_since(calendar, p_now)
                                                              FROM calendars AS calendar
                                                             WHERE calendar.calendar_id = p_calendar)),
                                            p_from => p_from, p_to => p_from + p_count,
                                            p_before => p_before, p_after => p_after, p_now => p_now) AS seen
     CROSS JOIN LATERAL unnest((own.roster).coach_ids, seen.excluded, (own.roster).buffers_before,
                               (own.roster).buffers_after, (own.roster).unmet, may.unmet)
         AS mate (coach_id, excluded, own_before, own_after, unmet, also_unmet)
$$;

-- Takes a span of a coach's days for an appointment that starts at p_start and counts on that day.
CREATE OR REPLACE FUNCTION engine.take_slots(p_coach text, p_start timestamptz, p_takes tstzrange) RETURNS void
    LANGUAGE plpgsql AS $$
DECLARE
    v_from  integer := engine.slot_of(lower(p_takes));
    v_to    integer := engine.slot_of(upper(p_takes));
    v_start integer := engine.slot_of(p_start);
BEGIN
    UPDATE coach_slots AS day
       SET taken = day.taken | engine.span_mask(p_offset => v_from - day.first_slot, p_length => v_to - v_from,
                                                p_count => day.slot_count),
           booked = day.booked + CASE WHEN v_start >= day.first_slot AND v_start < day.first_slot + day.slot_count
                                      THEN 1 ELSE 0 END
     WHERE day.coach_id = p_coach AND day.first_slot > v_from - 104 AND day.first_slot < v_to
       AND day.first_slot + day.slot_count > v_from;
END $$;

-- Takes a span of a coach's time for an appointment, which counts where it starts. The caller has locked the days, weeks and
-- months, and has looked whether they admit it.
CREATE OR REPLACE FUNCTION engine.take_time(p_coach text, p_start timestamptz, p_end timestamptz, p_takes tstzrange)
    RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM engine.take_slots(p_coach => p_coach, p_start => p_start, p_takes => p_takes);
    PERFORM engine.count_in_periods(p_coach => p_coach, p_start => p_start, p_end => p_end, p_by => 1);
END $$;

-- Gives back what take_time() took.
CREATE OR REPLACE FUNCTION engine.release_time(p_coach text, p_start timestamptz, p_end timestamptz, p_takes tstzrange)
    RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_from  integer := engine.slot_of(lower(p_takes));
    v_to    integer := engine.slot_of(upper(p_takes));
    v_start integer := engine.slot_of(p_start);
BEGIN
    UPDATE coach_slots AS day
       SET taken = day.taken & ~engine.span_mask(p_offset => v_from - day.first_slot, p_length => v_to - v_from,
                                                 p_count => day.slot_count),
           booked = day.booked - CASE WHEN v_start >= day.first_slot AND v_start < day.first_slot + day.slot_count
                                      THEN 1 ELSE 0 END
     WHERE day.coach_id = p_coach AND day.first_slot > v_from - 104 AND day.first_slot < v_to
       AND day.first_slot + day.slot_count > v_from;
    PERFORM engine.count_in_periods(p_coach => p_coach, p_start => p_start, p_end => p_end, p_by => -1);
END $$;

-- Takes the days of a coach if they are still free, and returns whether they were: p_day is the day in which it all lies, null
-- if it takes several. Waits for whoever has a day locked.
CREATE OR REPLACE FUNCTION engine.claim_time(
    p_coach text, p_day integer, p_from integer, p_to integer, p_before integer, p_after integer
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF p_day IS NOT NULL THEN
        UPDATE coach_slots AS day
           SET taken = day.taken | engine.span_mask(p_offset => p_from - p_before - p_day,
                                                    p_length => p_before + p_to - p_from + p_after,
                                                    p_count => day.slot_count),
               booked = day.booked + 1
         WHERE day.coach_id = p_coach AND day.first_slot = p_day
           AND engine.day_admits(day => day, p_from => p_from, p_to => p_to, p_before => p_before,
                                 p_after => p_after);
        RETURN FOUND;
    END IF;
    PERFORM FROM coach_slots AS day
      WHERE day.coach_id = p_coach AND day.first_slot > p_from - p_before - 104 AND day.first_slot < p_to + p_after
      ORDER BY day.first_slot FOR NO KEY UPDATE;
    IF engine.days_refusal(p_coach => p_coach, p_from => p_from, p_to => p_to, p_before => p_before,
                           p_after => p_after) IS NOT NULL THEN
        RETURN false;
    END IF;
    PERFORM engine.take_slots(p_coach => p_coach, p_start => engine.instant_of(p_from),
                              p_takes => tstzrange(engine.instant_of(p_from - p_before), engine.instant_of(p_to + p_after)));
    RETURN true;
END $$;

-- Whether this transaction has one of the coach's days around the slots [p_from, p_to) locked.
CREATE OR REPLACE FUNCTION engine.has_day_locked(p_coach text, p_from integer, p_to integer) RETURNS boolean
    LANGUAGE plpgsql AS $$
BEGIN
    RETURN EXISTS (SELECT FROM coach_slots AS day
                    WHERE day.coach_id = p_coach AND day.first_slot > p_from - 104 AND day.first_slot < p_to
                      AND day.xmax = pg_current_xact_id()::xid);
END $$;

-- Whether some expired hold still takes time; by the database's clock where p_now is null.
CREATE OR REPLACE FUNCTION engine.holds_have_expired(p_now timestamptz) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT FROM coach_appointments
                    WHERE status = 'held' AND expires_at <= coalesce(p_now, clock_timestamp()));
END $$;

-- Raises FS426 if an expired hold of one of the calendar's coaches still takes time. Clearing it moves credits of other
-- calendars, whose locks come before ours, so the caller does that in a transaction of its own.
CREATE OR REPLACE FUNCTION engine.check_expired_holds(p_calendar text, p_now timestamptz)
    RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- Usually no hold has expired anywhere.
    IF engine.holds_have_expired(p_now)
       AND EXISTS (SELECT FROM coach_appointments AS hold JOIN coach_calendars AS member USING (coach_id)
                    WHERE hold.status = 'held' AND hold.expires_at <= p_now AND member.calendar_id = p_calendar) THEN
        RAISE EXCEPTION USING ERRCODE = 'FS426', MESSAGE = 'holds have expired';
    END IF;
END $$;

-- Raises why nobody was chosen of a roster, of which p_unmet is what each coach does not meet of a request: FS400 if none of
-- those who meet the calendar does, at any start, else FS409.
CREATE OR REPLACE FUNCTION engine.refuse_choice(p_roster rosters, p_unmet integer[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT bool_and(mate.also > 0) FROM unnest(p_roster.unmet, p_unmet) AS mate (unmet, also)
         WHERE coalesce(mate.unmet, 0) = 0) THEN
        RAISE EXCEPTION USING ERRCODE = 'FS400', MESSAGE = 'nobody_meets';
    END IF;
    RAISE EXCEPTION USING ERRCODE = 'FS409', MESSAGE = 'no coach is free';
END $$;

-- Gives a time to the coach whose turn it is: chooses, takes the slots, writes the row and puts it on record; returns as
-- record_change(). The ledger is as lock_ledger() returned it. A hold ends at its start at the latest. p_metadata is a
-- JSON object, or its text as a JSON string; p_requires null where the customer asked for nothing.
CREATE OR REPLACE FUNCTION engine.assign_coach(
    p_calendar calendars, p_turn turns, p_roster rosters, p_has_expired_holds boolean, p_start timestamptz,
    p_now timestamptz, p_status text, p_contact_name text, p_contact_email text, p_notes text, p_timezone text,
    p_metadata jsonb, p_held_by text, p_expires timestamptz, p_key text, p_fingerprint bytea, p_keep_for interval,
    p_requires text[]
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_from   integer := engine.check_start(p_calendar => p_calendar, p_start => p_start, p_except => NULL, p_now => p_now);
    v_to     integer := v_from + p_calendar.slot_duration / 15;
    v_before integer := p_calendar.buffer_before / 15;
    v_after  integer := p_calendar.buffer_after / 15;
    v_first  integer := v_from - v_before;
    v_last   integer := v_to + v_after;
    v_seen   record;
    v_choice record;
    v_coach  text;
    v_may    record;
    v_unmet  integer[];
    v_lost   boolean := false;
    a        coach_appointments;
BEGIN
    IF p_has_expired_holds THEN
        PERFORM engine.check_expired_holds(p_calendar.calendar_id, p_now);
    END IF;
    IF p_calendar.hour_kinds <> '[]' THEN
        p_turn := engine.turn_of(p_turn => p_turn, p_kind => engine.kind_of(p_calendar => p_calendar, p_start => p_start));
    END IF;
    IF p_requires IS NOT NULL THEN
        v_may := engine.eligible_roster(p_roster => p_roster, p_requires => p_requires);
        p_roster := v_may.roster;
        v_unmet := v_may.unmet;
    END IF;
    IF p_calendar.on_unverified = 'block' THEN
        p_roster := engine.verified_roster(p_roster => p_roster,
                                           p_since => engine.verified_since(p_calendar => p_calendar, p_now => p_now));
    ELSIF p_calendar.on_unverified = 'recheck' THEN
        p_roster := engine.checked_roster(p_roster => p_roster, p_from => v_from, p_to => v_to,
                                          p_since => p_now - interval '10 seconds');
    END IF;
    LOOP
        v_seen := engine.look_at_team(p_roster => p_roster, p_from => v_from, p_to => v_to, p_before => v_before,
                                      p_after => v_after, p_now => p_now);
        v_choice := engine.take_turn(p_policy => p_calendar.policy, p_weights => p_roster.weights,
                                     p_scores => p_roster.scores, p_lasts => p_turn.lasts, p_excluded => v_seen.excluded,
                                     credits => p_turn.credits);
        IF v_choice.chosen IS NULL THEN
            PERFORM engine.refuse_choice(p_roster => p_roster, p_unmet => v_unmet);
        -- A day that was taken while we waited for it stays locked, out of order. Waiting for another one now could be a
        -- deadlock, so the transaction starts again.
        ELSIF v_lost AND engine.has_day_locked(p_coach => v_coach, p_from => v_first, p_to => v_last) THEN
            RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = 'locks would be taken out of order';
        END IF;
        v_coach := p_roster.coach_ids[v_choice.chosen];
        IF p_roster.buffers_before IS NOT NULL THEN
            v_first := v_from - greatest(v_before, p_roster.buffers_before[v_choice.chosen]);
            v_last := v_to + greatest(v_after, p_roster.buffers_after[v_choice.chosen]);
        END IF;
        IF p_calendar.on_unverified = 'recheck' THEN
            PERFORM engine.require_check(p_coach => v_coach, p_from => v_first, p_to => v_last, p_now => p_now);
        END IF;
        EXIT WHEN engine.claim_time(p_coach => v_coach, p_day => v_seen.days[v_choice.chosen], p_from => v_from,
                                    p_to => v_to, p_before => v_from - v_first, p_after => v_last - v_to);
        v_lost := true;
    END LOOP;
    IF p_roster.limited[v_choice.chosen] THEN
        PERFORM engine.claim_periods(p_coach => v_coach, p_slot => v_from, p_minutes => p_calendar.slot_duration);
    END IF;
    INSERT INTO coach_appointments (tenant_id, calendar_id, coach_id, start_time, end_time, takes, status, version,
        contact_name, contact_email, notes, timezone, metadata, created_at, updated_at, held_by, requires, expires_at)
    VALUES (p_calendar.tenant_id, p_calendar.calendar_id, v_coach, p_start, engine.instant_of(v_to),
        tstzrange(engine.instant_of(v_first), engine.instant_of(v_last)), p_status,
        CASE WHEN p_status = 'held' THEN 0 ELSE 1 END, p_contact_name, p_contact_email, p_notes, p_timezone,
        (p_metadata #>> '{}')::json, p_now, p_now, p_held_by, p_requires,
        CASE WHEN p_status = 'held' THEN least(p_expires, p_start) END)
    RETURNING * INTO a;
    RETURN engine.record_change(
        p_tenant => a.tenant_id, p_after => a, p_key => p_key, p_fingerprint => p_fingerprint,
        p_type => CASE WHEN p_status = 'held' THEN 'hold.created' ELSE 'appointment.created' END,
        p_keep_for => p_keep_for, p_now => p_now,
        p_decision => engine.decide(
            p_turn => p_turn, p_policy => p_calendar.policy, p_chosen => v_choice.chosen,
            p_policy_version => p_calendar.policy_version, p_credits => v_choice.credits,
            p_excluded => v_seen.excluded, p_reverses => NULL, p_now => p_now, p_unmet => v_unmet));
END $$;
