"""The guards of an upgrade: whoever works meanwhile notices nothing, and it is all there or not at all."""

from tests.mutants.guard import Guard

_MIGRATE = "platform/migrate.py"
_UPGRADE = "tests/integration/test_upgrade.py"
_MIGRATIONS = "tests/integration/test_migrations.py"
_REPLACE = "    for _, text in schema.functions:\n"

GUARDS = (
    Guard(
        "tables go where the role's name leads",
        _MIGRATE,
        "        connection.execute(_TABLES_IN_PUBLIC)\n",
        "",
        f"{_MIGRATIONS}::test_tables_are_public_whatever_the_role_is_called",
    ),
    Guard(
        "a function is dropped early",
        _MIGRATE,
        _REPLACE,
        "    if seen:\n        connection.execute('DROP FUNCTION engine.apply_absences')\n" + _REPLACE,
        f"{_UPGRADE}::test_a_statement_under_way_goes_on_over_a_change",
    ),
    Guard(
        "a step that fails keeps its tables",
        _MIGRATE,
        "            applied.append(name)\n",
        "            applied.append(name)\n            connection.execute('COMMIT; BEGIN')\n",
        f"{_UPGRADE}::test_a_step_that_fails_leaves_everything_as_it_was",
    ),
    Guard(
        "a deadlock ends an upgrade",
        _MIGRATE,
        "    for _ in range(_ATTEMPTS):\n",
        "    for _ in range(0):\n",
        f"{_UPGRADE}::test_a_step_that_meets_a_deadlock_begins_again",
    ),
    Guard(
        "what is gone from the functions stays",
        _MIGRATE,
        "    if schema.digest not in seen:\n",
        "    if False:\n",
        f"{_UPGRADE}::test_a_fresh_and_an_upgraded_database_are_the_same",
    ),
    Guard(
        "a version that is brought back drops the newer one's functions",
        _MIGRATE,
        "    if schema.digest not in seen:\n",
        "    if True:\n",
        f"{_MIGRATIONS}::test_an_older_version_that_is_brought_back_drops_nothing",
    ),
    Guard(
        "what the last release calls is gone",
        "schema/functions/40_earlier_signatures.sql",
        "CREATE OR REPLACE PROCEDURE engine.commit_cancel(\n    p_tenant text,",
        "CREATE OR REPLACE PROCEDURE engine.commit_cancel(\n    p_team text,",
        f"{_UPGRADE}::test_the_last_release_s_code_goes_on_while_what_is_current_is_applied",
    ),
)
