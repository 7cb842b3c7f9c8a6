"""The guards of what leaves and enters the engine: one effect a key, events, time that runs out."""

from tests.mutants.guard import Guard

_IDEMPOTENCY = "schema/functions/02_changes.sql"
_EVENTS = "schema/functions/06_events.sql"
_BLOCKS_SQL = "schema/functions/08_blocks.sql"
_DELIVERIES = "schema/functions/09_deliveries.sql"
_HOLDS = "schema/functions/12_holds.sql"
_SOURCES_SQL = "schema/functions/35_sources.sql"
_TABLES = "schema/tables/0001_baseline/1_calendars.sql"
_TESTS = "tests/integration"
_BOOK = f"{_TESTS}/test_booking.py"
_FROZEN = f"{_TESTS}/test_booking_frozen.py"
_KEYS = f"{_TESTS}/test_booking_keys.py"
_LOST = f"{_TESTS}/test_booking_lost_answers.py"
_OUTBOX = f"{_TESTS}/test_outbox.py"
_SYNC_SQL = "sql/sync.sql"
_SYNC = f"{_TESTS}/test_sync.py"
_TEN = "test_a_change_is_read_at_once_and_the_next_ones_when_ten_seconds_are_over"
_ABSENCES = f"{_TESTS}/test_absences.py"
_BLOCKS = f"{_TESTS}/test_own_blocks.py"
_WAITING = f"{_TESTS}/test_waiting_blocks.py"
_CONFLICTS = f"{_TESTS}/test_own_conflicts.py"

_ONCE = (
    Guard(
        "an answer is not looked for",
        _IDEMPOTENCY,
        "WHERE tenant_id = p_tenant AND key = p_key;",
        "WHERE false;",
        _BOOK,
    ),
    Guard(
        "an answer is not tied to its request",
        _IDEMPOTENCY,
        "ELSIF v_known.fingerprint <> p_fingerprint THEN",
        "ELSIF false THEN",
        _BOOK,
    ),
    Guard(
        "an answer is not kept", _IDEMPOTENCY, "is_event(p_type), p_key,", "is_event(p_type), NULL,", _BOOK
    ),
    Guard(
        "a booking does not look for its answer",
        "schema/functions/13_booking.sql",
        "    IF v_ledger.has_key THEN\n",
        "    IF false THEN\n",
        _BOOK,
    ),
    Guard(
        "a hold does not look for its answer",
        "schema/functions/12_holds.sql",
        "    IF v_ledger.has_key THEN\n",
        "    IF false THEN\n",
        _KEYS,
    ),
    Guard(
        "two may answer one key",
        "schema/tables/0001_baseline/2_changes.sql",
        "CREATE UNIQUE INDEX changes_key",
        "CREATE INDEX changes_key",
        f"{_KEYS}::test_one_key_on_two_calendars_is_one_booking",
    ),
    Guard(
        "a key is kept for ever",
        _IDEMPOTENCY,
        "ELSIF v_known.key_until <= p_now THEN",
        "ELSIF false THEN",
        f"{_BOOK}::test_an_expired_key_is_free_again",
    ),
    Guard(
        "a release does not wait before it looks for its answer",
        _HOLDS,
        "    v_answer jsonb;\n    a        coach_appointments;\nBEGIN\n    PERFORM engine.lock_calendar(",
        "    v_answer jsonb;\n    a        coach_appointments;\nBEGIN\n"
        "    PERFORM FROM coach_appointments WHERE appointment_id = p_hold AND status = 'held';\n"
        "    IF NOT FOUND THEN RAISE EXCEPTION USING ERRCODE = 'FS404', MESSAGE = 'hold'; END IF;\n"
        "    PERFORM engine.lock_calendar(",
        _LOST,
    ),
    Guard(
        "a change that may be made is made again without a key",
        "platform/db.py",
        "(idempotent or not begun) and broken",
        "broken",
        f"{_LOST}::test_a_booking_without_a_key_is_not_tried_again",
    ),
    Guard(
        "a lost connection is not opened again",
        "platform/db.py",
        "(idempotent or not begun) and broken",
        "False",
        f"{_LOST}::test_a_change_with_a_key_is_made_once",
    ),
    Guard("expired holds are not cleared", "platform/db.py", "expired = True", "expired = False", _LOST),
)

_SEND = """    if messages:
        send([json.dumps(message) for message in messages])
"""
_NOTE = """    values = {"deliveries": [message["delivery_id"] for message in messages], "now": now}
    row = connection.execute(_SQL["mark_published"], values).fetchone()
"""

_TOLD = (
    Guard(
        "no delivery is written",
        _EVENTS,
        "WHERE endpoint.tenant_id = c.tenant_id AND endpoint.enabled AND",
        "WHERE false AND",
        _OUTBOX,
    ),
    Guard(
        "what is not sent yet counts as sent",
        "webhooks/outbox.py",
        _SEND + _NOTE,
        _NOTE + _SEND,
        _OUTBOX,
    ),
    Guard(
        "two sweeps send the same",
        "schema/functions/32_delivery_changes.sql",
        "           FOR NO KEY UPDATE SKIP LOCKED) AS delivery",
        "        ) AS delivery",
        _OUTBOX,
    ),
    Guard(
        "the sweep looks only at what it never sent",
        "schema/functions/32_delivery_changes.sql",
        "OR greatest(published_at, next_attempt_at) < p_overdue_before)",
        "OR false)",
        _OUTBOX,
    ),
)

_OTHERS = (
    Guard(
        "a frozen client keeps its transaction",
        _TABLES,
        "SET idle_in_transaction_session_timeout = ''4s''",
        "SET idle_in_transaction_session_timeout = 0",
        f"{_FROZEN}::test_a_client_frozen_inside_a_transaction_loses_it",
    ),
    Guard(
        "a migration has no more time than a request",
        "platform/migrate.py",
        "        connection.execute(_WITHOUT_TIMEOUTS)\n",
        "",
        f"{_FROZEN}::test_migrating_knows_no_timeouts",
    ),
    Guard(
        "every change is a read",
        "schema/functions/34_calendars_read.sql",
        "OR source.requested_at <= p_now OR source.requested_at > p_now + p_pause",
        "OR true",
        f"{_SYNC}::{_TEN}",
    ),
    Guard(
        "what changes within ten seconds is not read",
        "schema/functions/34_calendars_read.sql",
        "OR source.requested_at <= p_now OR",
        "OR source.requested_at <= p_now - p_pause OR",
        f"{_SYNC}::{_TEN}",
    ),
    Guard(
        "an older reading overwrites a younger",
        _SOURCES_SQL,
        "IF NOT FOUND OR v_source.synced_at >= p_fetched_at THEN",
        "IF NOT FOUND THEN",
        f"{_TESTS}/test_sync.py::test_an_older_reading_never_overwrites_a_younger",
    ),
)

_EXTERNAL = (
    Guard(
        "a reading ends an absence",
        _SOURCES_SQL,
        "           & ~coalesce(gone.bits, 0::bit(104)), p_max_per_day",
        "           , p_max_per_day",
        f"{_ABSENCES}::test_it_outlives_every_reading",
    ),
    Guard(
        "a reading does not wait for an absence that is being written",
        _SOURCES_SQL,
        "    PERFORM engine.lock_external_calendar(p_coach);\n    IF NOT EXISTS",
        "    IF NOT EXISTS",
        f"{_ABSENCES}::test_a_reading_that_is_being_stored_knows_of_it",
    ),
    Guard(
        "a portion is not noted with what it did",
        "coach_time/inbound.py",
        '_SQL["note_progress" if step.outcome is None else "processed"]',
        '_SQL["processed"]',
        _ABSENCES,
    ),
    Guard(
        "our own block is busy time",
        _SOURCES_SQL,
        "IF v_source.kind = 'calendar_api' THEN",
        "IF false THEN",
        f"{_BLOCKS}::test_an_appointment_may_move_into_its_own_block",
    ),
    Guard(
        "a block that met one of ours is a conflict",
        _BLOCKS_SQL,
        "v_awaits := engine.release_state(d, p_at);",
        "v_awaits := NULL;",
        f"{_WAITING}::test_a_block_waits_for_the_release_that_it_met",
    ),
    Guard(
        "those who wait for one another go on waiting",
        _BLOCKS_SQL,
        "AND other.reason IS DISTINCT FROM 'awaits_release'",
        "",
        f"{_WAITING}::test_nobody_waits_for_one_who_waits",
    ),
    Guard(
        "results of a calendar's actions do not take turns",
        _DELIVERIES,
        "        PERFORM engine.lock_external_calendar(v_coach);\n",
        "        NULL;\n",
        f"{_WAITING}::test_refusal_and_release_that_are_recorded_at_once",
    ),
    Guard(
        "only attempts that were told of may have a block",
        _BLOCKS_SQL,
        "OR made.attempt > 1 AND NOT EXISTS (",
        "OR false AND NOT EXISTS (",
        f"{_CONFLICTS}::test_an_attempt_that_nobody_told_of_may_have_the_block",
    ),
    Guard(
        "a refusal goes before another attempt",
        _BLOCKS_SQL,
        "AND before.outcome = 'retrying' AND",
        "AND",
        f"{_CONFLICTS}::test_a_refusal_is_nothing_that_another_attempt_follows",
    ),
    Guard(
        "an answer that is recorded late shows no conflict",
        _DELIVERIES,
        "        changed := engine.resolve_unconfirmed("
        "p_delivery => d.delivery_id, p_event => p_event, p_at => p_at);\n",
        "        NULL;\n",
        f"{_CONFLICTS}::test_an_answer_that_is_recorded_late_shows_the_conflict",
    ),
    Guard(
        "an attempt is noted as of the round that its time tells",
        _DELIVERIES,
        "THEN p_excerpt END, p_round)\n",
        "THEN p_excerpt END, NULL)\n",
        f"{_CONFLICTS}::test_another_round_counts_for_itself",
    ),
    Guard(
        "a conflict with the same block stays",
        _BLOCKS_SQL,
        "AND conflict AND conflict_delivery = p_delivery.delivery_id",
        "AND false",
        f"{_CONFLICTS}::test_a_conflict_with_the_same_block_is_taken_back",
    ),
    Guard(
        "a block takes back that its coach is away",
        _BLOCKS_SQL,
        "    UPDATE coach_appointments SET conflict_delivery = NULL\n",
        "    UPDATE coach_appointments SET conflict_delivery = conflict_delivery\n",
        f"{_CONFLICTS}::test_a_coach_who_is_away_stays_a_conflict",
    ),
)

GUARDS = (*_ONCE, *_TOLD, *_OTHERS, *_EXTERNAL)
