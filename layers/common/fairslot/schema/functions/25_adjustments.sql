-- What moves credits beside bookings: coaches who leave, corrections by a person, absences that settle: docs/decisions/0110.

-- Moves a coach's credit in one ledger by p_amount; the rest of the team pays by weight, so that credits still sum to 0. It goes
-- on record as a change of the type p_type. p_turn has the number of the calendar's last decision; the caller has locked the
-- calendar.
CREATE OR REPLACE FUNCTION engine.move_credit(
    p_calendar calendars, p_turn turns, p_roster rosters, p_place integer, p_amount bigint, p_type text, p_details jsonb,
    p_now timestamptz, p_change uuid DEFAULT uuidv7()
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_credits bigint[];
    v_moved   decision;
BEGIN
    SELECT array_agg(mate.credit + coalesce(mate.delta, p_amount) ORDER BY mate.i) INTO v_credits
      FROM unnest(p_turn.credits, engine.spread_credit(p_amount => -p_amount, p_weights => p_roster.weights,
                                                       p_except => p_place)) WITH ORDINALITY AS mate (credit, delta, i);
    v_moved := engine.decide(p_turn => p_turn, p_policy => p_calendar.policy, p_policy_version => p_calendar.policy_version,
                             p_chosen => p_place, p_credits => v_credits, p_excluded => NULL, p_reverses => NULL,
                             p_now => p_now);
    -- Nobody was chosen: the order of ties stays.
    v_moved.lasts_after := p_turn.lasts;
    PERFORM engine.record_change(p_tenant => p_calendar.tenant_id, p_type => p_type, p_details => p_details, p_now => p_now,
                                 p_change => p_change, p_decision => v_moved);
END $$;

-- Corrects a coach's credit in the ledger of a kind by p_amount millionths, for a reason. Raises FS404 if the calendar is not the
-- tenant's or the coach not in its team, and FS400 if it has no such kind or nobody else is there to pay. The caller has locked
-- the calendar.
CREATE OR REPLACE FUNCTION engine.adjust_credit(
    p_tenant text, p_calendar text, p_coach text, p_kind text, p_amount bigint, p_reason text, p_change uuid, p_now timestamptz
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_ledger record;
    v_place  integer;
BEGIN
    SELECT * INTO v_ledger FROM engine.ledger(p_calendar);
    v_place := array_position((v_ledger.roster).coach_ids, p_coach);
    IF (v_ledger.calendar).tenant_id IS DISTINCT FROM p_tenant OR (v_ledger.calendar).deleted_at IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'FS404', MESSAGE = 'calendar';
    ELSIF v_place IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'FS404', MESSAGE = 'coach';
    ELSIF NOT EXISTS (SELECT FROM turns WHERE calendar_id = p_calendar AND kind = p_kind) THEN
        RAISE EXCEPTION USING ERRCODE = 'FS400', MESSAGE = 'unknown_kind';
    ELSIF cardinality((v_ledger.roster).coach_ids) < 2 THEN
        RAISE EXCEPTION USING ERRCODE = 'FS400', MESSAGE = 'alone_in_team';
    END IF;
    PERFORM engine.move_credit(
        p_calendar => v_ledger.calendar, p_turn => engine.turn_of(p_turn => v_ledger.turn, p_kind => p_kind),
        p_roster => v_ledger.roster, p_place => v_place, p_amount => p_amount, p_type => 'credit.adjusted',
        p_details => jsonb_build_object('amount', p_amount, 'reason', p_reason), p_now => p_now, p_change => p_change);
END $$;

-- Hands what a coach is owed in each ledger of a calendar to the rest of the team, by weight: the coach is at 0 then. The type is
-- coach.left, on record for every ledger, or credit.settled, for those in which something is owed. The caller has locked the
-- calendar.
CREATE OR REPLACE FUNCTION engine.settle_credits(
    p_calendar text, p_coach text, p_type text, p_details jsonb, p_now timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_kinds  text[] := ARRAY(SELECT kind FROM turns WHERE calendar_id = p_calendar ORDER BY kind COLLATE "C");
    v_kind   text;
    v_ledger record;
    v_turn   turns;
    v_place  integer;
BEGIN
    FOREACH v_kind IN ARRAY v_kinds LOOP
        SELECT * INTO v_ledger FROM engine.ledger(p_calendar);
        v_turn := engine.turn_of(p_turn => v_ledger.turn, p_kind => v_kind);
        v_place := array_position((v_ledger.roster).coach_ids, p_coach);
        CONTINUE WHEN p_type <> 'coach.left' AND v_turn.credits[v_place] = 0;
        PERFORM engine.move_credit(
            p_calendar => v_ledger.calendar, p_turn => v_turn, p_roster => v_ledger.roster, p_place => v_place,
            p_amount => -v_turn.credits[v_place], p_type => p_type, p_details => p_details, p_now => p_now);
    END LOOP;
END $$;

-- Settles a coach's credits in every team, because of an absence; the caller has locked the calendars.
CREATE OR REPLACE FUNCTION engine.settle_absence(
    p_tenant text, p_coach text, p_absence uuid, p_reason text, p_now timestamptz
) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    SELECT engine.settle_credits(
               p_calendar => member.calendar_id, p_coach => p_coach, p_type => 'credit.settled',
               p_details => jsonb_build_object('reason', p_reason, 'absence_id', p_absence), p_now => p_now)
      FROM (SELECT calendar_id FROM coach_calendars AS member JOIN calendars AS calendar USING (calendar_id)
             WHERE member.coach_id = p_coach AND calendar.tenant_id = p_tenant
             ORDER BY calendar_id COLLATE "C" OFFSET 0) AS member
$$;

-- An adjustment as the API shows it, in millionths: by a person, or by an absence that settled.
CREATE OR REPLACE FUNCTION engine.adjustment_json(made changes) RETURNS jsonb LANGUAGE sql STABLE
    RETURN (SELECT jsonb_build_object(
        'adjustment_id', made.change_id, 'calendar_id', made.calendar_id, 'coach_id', roster.coach_ids[made.chosen],
        'kind', made.kind, 'amount', coalesce((made.details ->> 'amount')::bigint, -made.credits[made.chosen]),
        'reason', made.details ->> 'reason', 'absence_id', made.details ->> 'absence_id', 'seq', made.seq,
        'created_at', engine.zulu(made.decided_at))
      FROM rosters AS roster
     WHERE roster.calendar_id = made.calendar_id AND roster.version = made.roster_version);
