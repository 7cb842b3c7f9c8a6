"""The guards of availability: nothing changes unnoted, and what is kept is trusted as far as it can be."""

from tests.mutants.guard import Guard

_MODEL = "schema/functions/19_availability.sql"
_LISTING = "schema/functions/23_listing.sql"
_TABLES = "schema/tables/0001_baseline/3_availability.sql"
_TEAM = "coach_time/team_time.py"
_BITS = "coach_time/team_bits.py"
_READING = "coach_time/team_reading.py"
_KEPT = "coach_time/kept_teams.py"
_PACKED = "coach_time/packed_team.py"
_TESTS = "tests/integration"
_TRUST = "tests/integration/test_kept_teams_trust.py"
_KEPT_TESTS = "tests/integration/test_kept_teams.py"
_EACH = f"{_TESTS}/test_kept_teams_changes.py::test_each_change_is_taken_over"

GUARDS = (
    Guard(
        "a changed day is not noted",
        "schema/functions/20_availability_triggers.sql",
        "CREATE TRIGGER note_day AFTER UPDATE ON coach_slots",
        "CREATE TRIGGER note_day AFTER UPDATE OF working ON coach_slots",
        f"{_TRUST}::test_a_stale_page_in_valkey_is_brought_up_to_date",
    ),
    Guard(
        "days that are added or deleted are not noted",
        _MODEL,
        "FROM (SELECT days.*, count(*) OVER (PARTITION BY coach_id) AS number FROM days) AS day;",
        "FROM (SELECT days.*, count(*) OVER (PARTITION BY coach_id) AS number FROM days WHERE false) AS day;",
        _EACH,
    ),
    Guard(
        "a reading is not noted",
        _MODEL,
        "    INSERT INTO availability_changes (coach_id) VALUES (NEW.coach_id);\n",
        "",
        _EACH,
    ),
    Guard(
        "a change of the team is not noted",
        _MODEL,
        "        INSERT INTO availability_changes (calendar_id) VALUES (NEW.calendar_id);\n",
        "        NULL;\n",
        _EACH,
    ),
    Guard(
        "changes that are alike count once, and what was left out of many is not noticed",
        _LISTING,
        "engine.holds_have_expired(p_clock), v_changes,",
        "engine.holds_have_expired(p_clock), coalesce(cardinality(v_coaches), 0),",
        f"{_TESTS}/test_kept_teams_changes.py::test_none_of_many_changes_is_missed",
    ),
    Guard(
        "the snapshot of a page is that of after it was read",
        _LISTING,
        "           pg_current_snapshot()::text,\n",
        "           pg_snapshot_xmax(pg_current_snapshot())::text || ':'"
        " || pg_snapshot_xmax(pg_current_snapshot())::text || ':',\n",
        f"{_TRUST}::test_a_transaction_that_commits_late_is_not_missed",
    ),
    Guard(
        "the read model claims to have what was under way",
        _MODEL,
        "    v_snapshot := pg_snapshot_xmin(pg_current_snapshot());\n",
        "    v_snapshot := pg_snapshot_xmax(pg_current_snapshot());\n",
        f"{_TRUST}::test_a_late_commit_is_not_folded_away",
    ),
    Guard(
        "the snapshot of another server counts",
        _MODEL,
        "    SELECT * INTO v_state FROM horizons_folded WHERE xmin = made_by::xid;\n",
        "    SELECT * INTO v_state FROM horizons_folded;\n",
        f"{_TRUST}::test_a_restored_dump_makes_the_read_model_anew",
    ),
    Guard(
        "a kept team is not of the team that there is",
        _READING,
        'return not row["has_other_team"] and',
        "return",
        _EACH,
    ),
    Guard(
        "a kept team is of the rules that there were",
        _READING,
        " and Rules.of(row) == team.rules",
        "",
        _EACH,
    ),
    Guard(
        "buffers are judged by what was read without them",
        _READING,
        "if all(Rules.of(row).has_buffers <= bool(team.open) for team, row in found if team.coaches):",
        "if True:",
        f"{_TESTS}/test_kept_teams_changes.py::test_a_buffer_that_comes_between_two_statements",
    ),
    Guard(
        "what is kept outlives its key",
        _KEPT,
        "if key is not None and key == self._key:",
        "if True:",
        f"{_TESTS}/test_kept_teams_bounds.py::test_what_is_kept_is_void_with_its_key",
    ),
    Guard(
        "a copied key counts",
        _LISTING,
        "WHERE page_key.xmin = page_key.made_by::xid",
        "WHERE true",
        f"{_TESTS}/test_kept_teams_bounds.py::test_a_copy_of_the_key_is_none",
    ),
    Guard(
        "the key survives a crash",
        _TABLES,
        "CREATE UNLOGGED TABLE page_keys",
        "CREATE TABLE page_keys",
        f"{_TESTS}/test_kept_teams_bounds.py::test_a_crash_takes_the_key",
    ),
    Guard(
        "whatever Valkey says is true",
        _PACKED,
        "return packed if hmac.compare_digest(code, _mac(key, name, packed)) else None",
        "return packed",
        f"{_TRUST}::test_a_snapshot_of_the_future_is_refused",
    ),
    Guard(
        "what is kept lives for ever",
        _KEPT,
        " or abs(now - found[1]) > _LIFE:",
        ":",
        f"{_TESTS}/test_kept_teams_bounds.py::test_what_is_kept_lives_for_a_quarter_of_an_hour",
    ),
    Guard(
        "what is kept grows",
        _KEPT,
        "while self.size > settings().page_cache_bytes:",
        "while False:",
        f"{_TESTS}/test_kept_teams_bounds.py::test_what_is_kept_is_bounded_by_bytes",
    ),
    Guard(
        "a full day is listed",
        _BITS,
        "return self.full.get(number, 0) | self.closed.get(number, 0)",
        "return self.closed.get(number, 0)",
        _EACH,
    ),
    Guard(
        "a coach whose calendar was never read is listed",
        _BITS,
        "        if self.read_at[number] == NEVER:\n            return 0\n",
        "",
        f"{_TESTS}/test_kept_teams_changes.py::test_a_first_reading_is_taken_over",
    ),
    Guard(
        "a coach whose calendar was never read is counted with the team",
        _BITS,
        """                    shut[number * size : (number + 1) * size] = b"\\xff" * size\n""",
        "                    pass\n",
        "tests/unit/coach_time/test_team_sizes.py",
    ),
    Guard(
        "what the readings say outlives them",
        _TEAM,
        "            self._oldest = None\n",
        "            pass\n",
        "tests/unit/coach_time/test_team_sizes.py",
    ),
    Guard(
        "a page whose coaches changed keeps its text",
        _TEAM,
        "        if changed:\n            self.version += 1\n",
        "",
        "tests/handlers/test_api_representation.py",
    ),
    Guard(
        "another coding has the same ETag",
        "http/representation.py",
        "f'\"{made.etag}-gzip\"' if is_compressed else",
        "f'\"{made.etag}\"' if is_compressed else",
        "tests/handlers/test_api_representation.py",
    ),
)
