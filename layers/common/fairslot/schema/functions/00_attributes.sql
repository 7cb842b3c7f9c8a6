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

-- What a coach does not meet of requirements.
CREATE OR REPLACE FUNCTION engine.unmet(p_attributes jsonb, p_requires text[]) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT coalesce(sum(1 << (one.i - 1)::integer), 0)::integer
              FROM unnest(p_requires) WITH ORDINALITY AS one (requirement, i)
             WHERE NOT engine.meets(p_attributes => p_attributes, p_requirement => one.requirement));

-- Those of some coaches who meet all requirements.
CREATE OR REPLACE FUNCTION engine.who_meets(p_coaches text[], p_requires text[]) RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(coach.coach_id), '{}') FROM coaches AS coach
     WHERE coach.coach_id = ANY (p_coaches)
       AND engine.unmet(p_attributes => coach.attributes, p_requires => p_requires) = 0
$$;

-- A roster in which nobody who does not meet p_requires can be booked, and what each of them does not meet; null: all meet all.
-- Whoever cannot be booked anyway keeps the reason. Without requirements it is the roster that was given.
CREATE OR REPLACE FUNCTION engine.eligible_roster(p_roster rosters, p_requires text[], OUT roster rosters, OUT unmet integer[])
    LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_absent text[];
BEGIN
    roster := p_roster;
    IF p_requires IS NOT NULL THEN
        SELECT CASE WHEN bool_or(mate.unmet > 0) THEN array_agg(mate.unmet ORDER BY mate.i) END,
               array_agg(coalesce(mate.absent, CASE WHEN mate.unmet > 0 THEN 'missing_attribute' END) ORDER BY mate.i)
          INTO unmet, v_absent
          FROM (SELECT one.i, one.absent, engine.unmet(p_attributes => coach.attributes, p_requires => p_requires) AS unmet
                  FROM unnest(p_roster.coach_ids, p_roster.absent) WITH ORDINALITY AS one (coach_id, absent, i)
                  JOIN coaches AS coach USING (coach_id)) AS mate;
        roster.absent := coalesce(v_absent, '{}');
    END IF;
END $$;
