-- Attributes: what calendars and requests require of coaches, and who meets it. A requirement is a text, name:value. What a
-- coach does not meet of several is a number: bit i - 1 stands for the i-th, 0 is nothing. docs/decisions/0106.

-- Whether a coach's attributes meet a requirement: the attribute is the value, as text, or is a list that has it.
CREATE OR REPLACE FUNCTION engine.meets(p_attributes jsonb, p_requirement text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce(CASE jsonb_typeof(p_attributes -> split_part(p_requirement, ':', 1))
        WHEN 'array' THEN (p_attributes -> split_part(p_requirement, ':', 1))
                          ? substr(p_requirement, strpos(p_requirement, ':') + 1)
        ELSE p_attributes ->> split_part(p_requirement, ':', 1) = substr(p_requirement, strpos(p_requirement, ':') + 1) END,
        false);

-- What each of some coaches does not meet of requirements, in their order; null: all meet all.
CREATE OR REPLACE FUNCTION engine.unmet(p_coaches text[], p_requires text[]) RETURNS integer[]
    LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN (SELECT CASE WHEN bool_or(one.unmet > 0) THEN array_agg(one.unmet ORDER BY one.i) END
              FROM (SELECT mate.i, sum(CASE WHEN engine.meets(p_attributes => coach.attributes,
                                                              p_requirement => wanted.requirement)
                                            THEN 0 ELSE 1 << (wanted.i - 1)::integer END)::integer AS unmet
                      FROM unnest(p_coaches) WITH ORDINALITY AS mate (coach_id, i)
                      JOIN coaches AS coach USING (coach_id)
                     CROSS JOIN unnest(p_requires) WITH ORDINALITY AS wanted (requirement, i)
                     GROUP BY mate.i) AS one);
END $$;

-- What the coaches of a calendar's team do not meet of what it requires; nobody where it requires nothing.
CREATE OR REPLACE FUNCTION engine.unmet_in_team(p_calendar text) RETURNS TABLE (coach_id text, unmet integer)
    LANGUAGE sql STABLE AS $$
    SELECT one.coach_id, one.unmet
      FROM (SELECT array_agg(member.coach_id) AS ids FROM coach_calendars AS member
             WHERE member.calendar_id = p_calendar) AS team
      JOIN calendars AS calendar ON calendar.calendar_id = p_calendar AND calendar.requires <> '{}'
     CROSS JOIN LATERAL unnest(team.ids, engine.unmet(p_coaches => team.ids, p_requires => calendar.requires))
         AS one (coach_id, unmet)
$$;

-- Those of a calendar's team who meet what it requires, which the roster knows, and p_requires.
CREATE OR REPLACE FUNCTION engine.who_meets(p_calendar text, p_requires text[]) RETURNS text[] LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_coaches     text[] := (
        SELECT CASE WHEN roster.unmet IS NULL THEN roster.coach_ids
                    ELSE ARRAY(SELECT mate.coach_id FROM unnest(roster.coach_ids, roster.unmet) AS mate (coach_id, unmet)
                                WHERE mate.unmet = 0) END
          FROM rosters AS roster
         WHERE roster.calendar_id = p_calendar
           AND roster.version = (SELECT turn.roster_version FROM turns AS turn
                                  WHERE turn.calendar_id = p_calendar AND turn.kind = 'normal'));
    v_requirement text;
BEGIN
    -- Each asks only those who are left: that costs less than judging all of them for everybody.
    FOREACH v_requirement IN ARRAY coalesce(p_requires, '{}') LOOP
        v_coaches := ARRAY(SELECT coach.coach_id FROM coaches AS coach
                            WHERE coach.coach_id = ANY (v_coaches)
                              AND engine.meets(p_attributes => coach.attributes, p_requirement => v_requirement));
    END LOOP;
    RETURN v_coaches;
END $$;

-- A roster in which nobody who does not meet p_requires can be booked, and what each of them does not meet; null: all meet all.
-- Whoever cannot be booked anyway keeps the reason. Without requirements it is the roster that was given.
CREATE OR REPLACE FUNCTION engine.eligible_roster(p_roster rosters, p_requires text[], OUT roster rosters, OUT unmet integer[])
    LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_absent text[] := p_roster.absent;
BEGIN
    roster := p_roster;
    IF p_requires IS NOT NULL THEN
        unmet := engine.unmet(p_coaches => p_roster.coach_ids, p_requires => p_requires);
        FOR i IN 1 .. coalesce(cardinality(unmet), 0) LOOP
            IF unmet[i] > 0 AND v_absent[i] IS NULL THEN
                v_absent[i] := 'missing_attribute';
            END IF;
        END LOOP;
        roster.absent := v_absent;
    END IF;
END $$;
