"""The guards of telling: durable first, shared without waiting, and what is untold counts already."""

from tests.mutants.guard import Guard

_CHANGES = "schema/functions/02_changes.sql"
_EVENTS = "schema/functions/06_events.sql"
_BLOCKS = "schema/functions/08_blocks.sql"
_TELLING = "tests/integration/test_telling.py"
_UNTOLD = "tests/integration/test_untold_blocks.py"
_RETENTION = "tests/integration/test_retention.py"

GUARDS = (
    Guard(
        "what is not on the disk is sent",
        _EVENTS,
        "    PERFORM set_config('synchronous_commit', 'on', true);\n",
        "",
        f"{_TELLING}::test_nothing_is_sent_before_its_change_is_on_the_disk",
    ),
    Guard(
        "who tells waits for the others who tell",
        _EVENTS,
        "ORDER BY change_id LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED);",
        "ORDER BY change_id LIMIT p_limit FOR NO KEY UPDATE);",
        f"{_TELLING}::test_two_who_tell_share_the_work",
    ),
    Guard(
        "two tell of the same change",
        _EVENTS,
        "ORDER BY change_id LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED);",
        "ORDER BY change_id LIMIT p_limit);",
        _TELLING,
    ),
    Guard(
        "two tell at a time",
        _EVENTS,
        "    IF p_alone AND NOT pg_try_advisory_xact_lock",
        "    IF false AND NOT pg_try_advisory_xact_lock",
        f"{_TELLING}::test_one_at_a_time_tells",
    ),
    Guard(
        "who has told does not look for what others left",
        _EVENTS,
        "    RETURN EXISTS (SELECT FROM changes WHERE NOT told);",
        "    RETURN false;",
        f"{_TELLING}::test_what_others_leave_is_told",
    ),
    Guard(
        "the last look is left to others",
        "webhooks/outbox.py",
        "alone=not is_last)",
        "alone=True)",
        f"{_TELLING}::test_whoever_has_told_for_long_looks_a_last_time",
    ),
    Guard(
        "what others have in hand is looked for again and again",
        "webhooks/outbox.py",
        "is_last = made.events == 0",
        "is_last = made.events < 0",
        f"{_TELLING}::test_events_in_other_hands_are_not_waited_for",
    ),
    Guard(
        "the sweep tells of nothing",
        "webhooks/outbox.py",
        "    made = tell(connection, send=send, now=now)\n    sent = len(made.messages)\n",
        "    made = Made(0, [])\n    sent = 0\n",
        f"{_TELLING}::test_who_dies_before_telling_leaves_it_to_the_sweep",
    ),
    Guard(
        "an endpoint is told of what was before it",
        _EVENTS,
        " AND endpoint.created_at <= c.at",
        "",
        f"{_TELLING}::test_an_endpoint_gets_nothing_from_before_it_was_made",
    ),
    Guard(
        "a recovery takes what is untold for missed",
        "schema/functions/31_endpoint_changes.sql",
        "       AND event.told AND engine.is_event(event.type)\n",
        "       AND engine.is_event(event.type)\n",
        f"{_TELLING}::test_a_recovery_in_between_sends_nothing_twice",
    ),
    Guard(
        "a recovery sends holds and answers",
        "schema/functions/31_endpoint_changes.sql",
        "       AND event.told AND engine.is_event(event.type)\n",
        "       AND event.told\n",
        "tests/integration/test_recovery.py::test_a_recovery_sends_events_alone",
    ),
    Guard(
        "a release that is not made yet is not awaited",
        _BLOCKS,
        "     WHERE NOT c.told AND p_coach IN",
        "     WHERE false AND p_coach IN",
        f"{_UNTOLD}::test_a_block_waits_for_a_release_that_is_not_made_yet",
    ),
    Guard(
        "a reading takes a block that is to be released for busy time",
        _BLOCKS,
        "     WHERE NOT c.told AND p_coach IN",
        "     WHERE false AND p_coach IN",
        f"{_UNTOLD}::test_a_reading_in_between_knows_our_block",
    ),
    Guard(
        "what is not told yet is not another's",
        _BLOCKS,
        "     WHERE other.delivery_id IS DISTINCT FROM d.delivery_id\n",
        "     WHERE other.delivery_id <> d.delivery_id\n",
        f"{_UNTOLD}::test_a_block_that_will_be_released_is_not_adopted",
    ),
    Guard(
        "a change is deleted before it is told of",
        "schema/functions/33_retention.sql",
        "at < p_before AND told AND key IS NULL",
        "at < p_before AND key IS NULL",
        f"{_RETENTION}::test_what_is_untold_is_never_forgotten",
        times=2,
    ),
    Guard(
        "a decision goes with its event",
        "schema/functions/33_retention.sql",
        "AND told AND key IS NULL AND seq IS NULL",
        "AND told AND key IS NULL",
        f"{_RETENTION}::test_what_is_settled_is_forgotten_after_its_time",
    ),
    Guard(
        "an answer goes with its event",
        "schema/functions/33_retention.sql",
        "at < p_before AND told AND key IS NULL",
        "at < p_before AND told",
        f"{_RETENTION}::test_an_event_with_a_key_stays",
        times=2,
    ),
    Guard(
        "notes stay when nobody can ask for the answer any more",
        _CHANGES,
        "answer = NULL, after.notes = NULL,",
        "answer = NULL,",
        f"{_RETENTION}::test_a_key_is_forgotten_before_its_event",
    ),
)
