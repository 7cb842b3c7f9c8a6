"""Take each guard out of the database in turn and expect its test to go red: `python -m tests.mutants`.

A mutant is a change of a migration's text, applied to the template database of a run of its own by
FAIRSLOT_MUTANT (see conftest). A mutant that its tests do not notice survives, and the command fails.
"""

import os
import subprocess
import sys
from dataclasses import dataclass

from fairslot.migrate import migrations

BOOKING = "tests/integration/test_booking.py"
MIX = "tests/integration/test_booking_mix.py"
HOLDS = "tests/integration/test_holds.py"
LIFE = "tests/integration/test_life.py"
OUTBOX = "tests/integration/test_outbox.py"


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A guard taken out: `old` becomes `new` in the migrations, and one of the tests must fail."""

    name: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTANTS = (
    Mutant(
        name="no exclusion constraint",
        old="EXCLUDE USING gist (coach_id WITH =, takes WITH &&)",
        new="EXCLUDE USING gist (coach_id WITH =, takes WITH &&, appointment_id WITH =)",
        tests=(BOOKING,),
    ),
    Mutant(
        name="the predicate is not tested again under the lock",
        old="""                AND day_admits(day.free, day.open, day.booked, day.max_per_day,
                               span_mask(p_from - day.first_slot, p_count, day.slot_count),
                               span_mask(v_from - day.first_slot, v_whole, day.slot_count), true)
                FOR NO KEY UPDATE SKIP LOCKED;""",
        new="                FOR NO KEY UPDATE;",
        tests=(BOOKING, MIX),
    ),
    Mutant(
        name="the calendar is not locked",
        old="""WHERE calendar_id = p_calendar AND tenant_id = p_tenant FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'FS404', MESSAGE = 'calendar';
    END IF;
    v_now := coalesce(p_now, clock_timestamp());
    v_answer := idempotent_answer(p_tenant, p_key, p_fingerprint, v_now);
    IF v_answer IS NOT NULL THEN
        RETURN replayed(v_answer);
    END IF;
    a.tenant_id""",
        new="""WHERE calendar_id = p_calendar AND tenant_id = p_tenant;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'FS404', MESSAGE = 'calendar';
    END IF;
    v_now := coalesce(p_now, clock_timestamp());
    v_answer := idempotent_answer(p_tenant, p_key, p_fingerprint, v_now);
    IF v_answer IS NOT NULL THEN
        RETURN replayed(v_answer);
    END IF;
    a.tenant_id""",
        tests=(MIX,),
    ),
    Mutant(
        name="who is locked by another is given up at once",
        old="      FROM unnest(v_all) AS one\n     WHERE one.days = (",
        new="      FROM unnest(v_all) AS one\n     WHERE one.days > 1 AND one.days = (",
        tests=("tests/integration/test_booking_races.py", BOOKING),
    ),
    Mutant(
        name="no outbox row",
        old="""    INSERT INTO webhook_deliveries (event_id, endpoint_id, params)
    SELECT v_event, endpoint.endpoint_id, told.params""",
        new="""    INSERT INTO webhook_deliveries (event_id, endpoint_id, params)
    SELECT v_event, endpoint.endpoint_id, told.params FROM (SELECT) AS nothing WHERE false;
    PERFORM v_event, endpoint.endpoint_id, told.params""",
        tests=(OUTBOX,),
    ),
    Mutant(
        name="no idempotency",
        old="WHERE tenant_id = p_tenant AND key = p_key AND expires_at > p_now;",
        new="WHERE false;",
        tests=(BOOKING,),
    ),
    Mutant(
        name="an answer is not tied to its request",
        old="IF FOUND AND v_known.fingerprint <> p_fingerprint THEN",
        new="IF false THEN",
        tests=(BOOKING,),
    ),
    Mutant(
        name="an answer is not kept in the effect's transaction",
        old="    IF p_key IS NOT NULL THEN\n        INSERT INTO idempotency_keys",
        new="    IF false THEN\n        INSERT INTO idempotency_keys",
        tests=(BOOKING,),
    ),
    Mutant(
        name="no daily maximum",
        old="AND (NOT p_starts OR p_booked < p_max);",
        new=";",
        tests=(BOOKING,),
    ),
    Mutant(
        name="the calendar's own maximum is not counted",
        old="HAVING count(*) >= p_calendar.max_per_day",
        new="HAVING false",
        tests=("tests/integration/test_decisions.py",),
    ),
    Mutant(
        name="cancelling forgets the time",
        old="    PERFORM move_time(a.coach_id, a.start_time, a.takes, -1);\n    IF p_by <> 'coach' THEN",
        new="    IF p_by <> 'coach' THEN",
        tests=(BOOKING,),
    ),
    Mutant(
        name="cancelling forgets the credit",
        old="    IF p_by <> 'coach' THEN\n        PERFORM reverse_decision(p_appointment, v_now);\n"
        "    END IF;",
        new="",
        tests=(BOOKING,),
    ),
    Mutant(
        name="a coach who cancels is refunded",
        old="    IF p_by <> 'coach' THEN\n",
        new="    IF true THEN\n",
        tests=(BOOKING,),
    ),
    Mutant(
        name="an expired hold can be confirmed",
        old="IF NOT FOUND OR v_hold.expires_at <= p_now THEN",
        new="IF NOT FOUND THEN",
        tests=(HOLDS,),
    ),
    Mutant(
        name="an expired hold blocks",
        old="WHERE hold.status = 'held' AND hold.expires_at <= p_now AND member.calendar_id = p_calendar",
        new="WHERE false",
        tests=(HOLDS,),
    ),
    Mutant(
        name="holds without a cap",
        old="    IF p_most <= (SELECT count(*)",
        new="    IF 1000000 <= (SELECT count(*)",
        tests=(HOLDS,),
    ),
    Mutant(
        name="the old time is lost when a move fails",
        old="    UPDATE coach_appointments\n       SET coach_id = v_coach, start_time = p_start",
        new="    UPDATE coach_appointments\n       SET coach_id = v_old.coach_id, start_time = p_start",
        tests=(LIFE,),
    ),
    Mutant(
        name="a named coach pays",
        old="CASE WHEN p_coach IS NULL THEN v_calendar.policy ELSE 'manual' END",
        new="v_calendar.policy",
        tests=("tests/integration/test_replay.py", LIFE, "tests/handlers/test_api_life.py"),
    ),
    Mutant(
        name="another tenant's calendar can be booked",
        old="WHERE calendar_id = p_calendar AND tenant_id = p_tenant FOR NO KEY UPDATE;",
        new="WHERE calendar_id = p_calendar FOR NO KEY UPDATE;",
        tests=(BOOKING,),
    ),
)


def steps(name: str) -> list[tuple[str, str]]:
    """Return the migrations with one mutant's change; LookupError when it changes nothing."""
    mutant = next(one for one in MUTANTS if one.name == name)
    changed = [(file, text.replace(mutant.old, mutant.new)) for file, text in migrations()]
    if changed == migrations():
        raise LookupError(f"nothing to change for: {name}")
    return changed


def killed_by(mutant: Mutant) -> str | None:
    """Run a mutant's tests until one fails and return its name; None when all pass."""
    for test in mutant.tests:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", test],
            env={**os.environ, "FAIRSLOT_MUTANT": mutant.name},
            capture_output=True,
            text=True,
            check=False,
        )
        for line in done.stdout.splitlines():
            if line.startswith("FAILED"):
                return line.split()[1]
        if done.returncode != 0:
            raise SystemExit(f"the tests of '{mutant.name}' did not run:\n{done.stdout[-2000:]}")
    return None


def main() -> int:
    """Try every mutant, or those whose names are given; return 1 if one survives."""
    wanted = sys.argv[1:]
    survivors = 0
    for mutant in MUTANTS:
        if wanted and mutant.name not in wanted:
            continue
        killer = killed_by(mutant)
        survivors += killer is None
        sys.stdout.write(f"{'killed' if killer else 'SURVIVED':9} {mutant.name}: {killer or 'all pass'}\n")
        sys.stdout.flush()
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
