"""The guards of ledgers: the kinds of hours, the bound, adjustments, and whose they are."""

from tests.mutants.guard import Guard

_TESTS = "tests/integration"
_KINDS_TEST = f"{_TESTS}/test_kinds.py"
_UNDONE = f"{_KINDS_TEST}::test_what_is_undone_is_undone_in_its_kind"
_MOVE = f"{_KINDS_TEST}::test_a_move_to_another_kind_is_a_reversal_and_a_decision"
_REMOVED = f"{_KINDS_TEST}::test_a_kind_that_is_removed_leaves_its_credits_to_normal"
_ADJUSTED = f"{_TESTS}/test_adjustments.py"
_BOUND = "tests/unit/domain/test_bound.py"
_CHANGES = "schema/functions/02_changes.sql"
_FAIRNESS = "schema/functions/10_fairness.sql"
_MOVES = "schema/functions/14_changes.sql"
_KINDS = "schema/functions/24_kinds.sql"
_CREDITS = "schema/functions/25_adjustments.sql"

GUARDS = (
    Guard(
        "a ledger forgets its kind",
        "schema/functions/11_choosing.sql",
        "    IF p_calendar.hour_kinds <> '[]' THEN\n",
        "    IF false THEN\n",
        f"{_KINDS_TEST}::test_nobody_works_more_weekends_than_their_share",
    ),
    Guard(
        "the kind of a start is that of another zone",
        _KINDS,
        "p_start AT TIME ZONE engine.full_zone(p_calendar.time_zone)",
        "p_start AT TIME ZONE 'UTC'",
        f"{_KINDS_TEST}::test_the_kind_is_that_of_the_local_time",
    ),
    Guard(
        "a kind over midnight has no hours",
        _KINDS,
        "        IF v_from >= v_before THEN\n",
        "        IF false THEN\n",
        f"{_KINDS_TEST}::test_the_kind_is_that_of_the_local_time",
    ),
    Guard(
        "what a kind gave is given back by normal",
        _FAIRNESS,
        "    IF v_made.kind <> 'normal' THEN\n",
        "    IF false THEN\n",
        _UNDONE,
    ),
    Guard(
        "a move stays in the old kind",
        _MOVES,
        "    IF turn.kind <> p_kind THEN\n",
        "    IF false THEN\n",
        _MOVE,
    ),
    Guard(
        "a move reverses in the kind that it goes to",
        _MOVES,
        "     WHERE calendar_id = v_undone.calendar_id AND kind = v_undone.kind;",
        "     WHERE calendar_id = v_undone.calendar_id AND kind = (p_choice.turn).kind;",
        _MOVE,
    ),
    Guard(
        "the record does not say where a move reversed",
        _MOVES,
        "p_reversed_in => v_undone.kind",
        "p_reversed_in => NULL",
        _MOVE,
    ),
    Guard(
        "a move with its coach keeps the credit of the old kind",
        _MOVES,
        " OR v_choice.undone IS NOT NULL THEN",
        " THEN",
        _MOVE,
    ),
    Guard(
        "each kind numbers its own decisions",
        _KINDS,
        "    v_turn.seq := p_turn.seq;\n",
        "",
        _KINDS_TEST,
    ),
    Guard(
        "a decision of one kind is not counted by the others",
        _CHANGES,
        "kind IN (p_decision.kind, 'normal'))",
        "kind = p_decision.kind)",
        _KINDS_TEST,
    ),
    Guard(
        "a removed kind takes the credits along",
        _KINDS,
        "SELECT mate.credit + mate.moved\n",
        "SELECT mate.credit\n",
        _REMOVED,
    ),
    Guard(
        "what a removed kind decided is undone in a new one of its name",
        _KINDS,
        "\n                                AND turn.since < p_seq)",
        ")",
        _REMOVED,
    ),
    Guard(
        "who leaves keeps what is owed in other kinds",
        _CREDITS,
        "FROM turns WHERE calendar_id = p_calendar ORDER BY kind",
        "FROM turns WHERE calendar_id = p_calendar AND kind = 'normal' ORDER BY kind",
        f"{_KINDS_TEST}::test_joining_and_leaving_are_in_every_kind",
    ),
    Guard(
        "who leaves takes the credit along",
        _CREDITS,
        "engine.spread_credit(p_amount => -p_amount,",
        "engine.spread_credit(p_amount => 0,",
        f"{_TESTS}/test_decisions.py::test_leaving_spreads_the_credit",
    ),
    Guard(
        "an adjustment counts as a turn",
        _CREDITS,
        "    v_moved.lasts_after := p_turn.lasts;\n",
        "",
        f"{_ADJUSTED}::test_a_correction_is_paid_for_by_weight",
    ),
    Guard(
        "an absence never settles",
        "team/absences.py",
        '        if one["settles"]:\n',
        "        if False:\n",
        "tests/handlers/test_api_ledger.py::test_an_absence_says_what_becomes_of_the_credits",
    ),
    Guard(
        "the bound knows no credits",
        "domain/fair_share.py",
        "max((excess // k for",
        "max((0 for",
        _BOUND,
    ),
    Guard(
        "the bound knows only who is owed",
        "domain/fair_share.py",
        "max((excess // (size - k) for",
        "max((0 for",
        _BOUND,
    ),
)
