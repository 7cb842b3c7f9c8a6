"""The guards between us and subscribers: who is asked, where, and for how long."""

from tests.mutants.guard import Guard

_ENDPOINTS = "schema/functions/07_endpoints.sql"
_LIMITS = "dispatch/endpoint_limits.py"
_LIMITS_TEST = "tests/unit/dispatch/test_endpoint_limits.py"
_BLOCKS = "schema/functions/08_blocks.sql"
_BLOCKS_TEST = "tests/integration/test_unconfirmed_blocks.py"
_SEARCHES_TEST = "tests/integration/test_block_searches.py"
_COST_TEST = "tests/integration/test_result_cost.py"

GUARDS = (
    Guard(
        "a silent endpoint is asked for ever", _LIMITS, "SILENCES = 3\n", "SILENCES = 3_000\n", _LIMITS_TEST
    ),
    Guard("errors never count", _LIMITS, "FAILURES = 20\n", "FAILURES = 20_000\n", _LIMITS_TEST),
    Guard(
        "one public address excuses an inside one",
        "platform/addresses.py",
        "if not all(is_public(address) for address in found):",
        "if not any(is_public(address) for address in found):",
        "tests/unit/platform/test_addresses.py",
    ),
    Guard(
        "the database writes a message without a member that is read",
        "schema/functions/06_events.sql",
        "'endpoint_id', endpoint.endpoint_id, 'revision', endpoint.revision, ",
        "'endpoint_id', endpoint.endpoint_id, ",
        "tests/integration/test_delivery_messages.py",
    ),
    Guard(
        "a changed endpoint does not reach what is queued",
        _ENDPOINTS,
        "    NEW.revision := OLD.revision + 1;\n",
        "    NEW.revision := OLD.revision;\n",
        "tests/handlers/test_webhook_revisions.py::test_another_address_is_asked_next",
    ),
    Guard(
        "a pass over the dead letters keeps hidden what it leaves",
        "platform/queue.py",
        "[(handle, 0) for handle in self._held.values()]",
        "[]",
        "tests/integration/test_dead_letters.py::test_what_the_task_leaves_can_be_sent_at_once",
    ),
    Guard(
        "a pass meets a dead letter that is visible again",
        "platform/queue.py",
        'if one["MessageId"] not in self._seen]',
        'if one["MessageId"]]',
        "tests/integration/test_dead_letters.py::test_a_long_reading_meets_no_letter_twice",
    ),
    Guard(
        "any number of an alphabet is a port",
        "platform/addresses.py",
        "if _AUTHORITY.fullmatch(authority) is None:",
        "if False:",
        "tests/unit/platform/test_addresses.py",
    ),
    Guard(
        "an address is kept as it was written",
        "webhooks/subscriptions.py",
        "found = addresses.canonical(url, addresses.subscriber_rules())",
        "found = addresses.canonical(url, addresses.subscriber_rules()) and url",
        "tests/handlers/test_api_endpoint_addresses.py::test_a_change_of_address_is_read_the_same_way",
    ),
    Guard(
        "the database keeps an endpoint's address for a key",
        "webhooks/endpoints.py",
        "        return replace(done, answer=stored_answer(done.answer))\n",
        "        return done\n",
        "tests/handlers/test_api_endpoint_answers.py::test_nothing_of_an_address_is_kept_for_a_key",
    ),
    Guard(
        "an endpoint sends what it was given before a header was refused",
        "dispatch/subscribers.py",
        "if own_headers.may_be_chosen(name)}",
        "if name}",
        "tests/unit/domain/test_own_headers.py",
    ),
    Guard(
        "the sweep does not say that a result is lost",
        "schema/functions/32_delivery_changes.sql",
        "results_missing = results_missing OR reason IS DISTINCT FROM 'awaits_release'",
        "results_missing = results_missing",
        f"{_BLOCKS_TEST}::test_what_an_earlier_sending_may_have_blocked_is_no_conflict",
    ),
    Guard(
        "a dead letter does not say that a result is lost",
        "schema/functions/32_delivery_changes.sql",
        "next_attempt_at = NULL, results_missing = true",
        "next_attempt_at = NULL",
        f"{_BLOCKS_TEST}::test_what_an_earlier_sending_may_have_blocked_is_no_conflict",
    ),
    Guard(
        "a lost result is nobody's block",
        _BLOCKS,
        "    SELECT d.results_missing OR EXISTS (\n",
        "    SELECT EXISTS (\n",
        f"{_BLOCKS_TEST}::test_what_an_earlier_sending_may_have_blocked_is_no_conflict",
    ),
    Guard(
        "any block at the time is ours",
        _BLOCKS,
        "IF v_may AND p_listed <> '' AND NOT engine.belongs_to_another(d, p_listed) THEN",
        "IF p_listed <> '' AND NOT engine.belongs_to_another(d, p_listed) THEN",
        f"{_BLOCKS_TEST}::test_a_block_that_is_none_of_ours_is_a_conflict",
    ),
    Guard(
        "a block that is being released is adopted",
        _BLOCKS,
        "IF v_may AND p_listed <> '' AND NOT engine.belongs_to_another(d, p_listed) THEN",
        "IF v_may AND p_listed <> '' THEN",
        f"{_BLOCKS_TEST}::test_a_block_that_is_being_released_is_not_adopted",
    ),
    Guard(
        "a late result releases what another has",
        _BLOCKS,
        "    IF engine.belongs_to_another(p_delivery, p_block) THEN\n",
        "    IF false THEN\n",
        f"{_BLOCKS_TEST}::test_what_one_adopted_another_does_not_release",
    ),
    Guard(
        "an unconfirmed block is nothing to the next customer",
        _BLOCKS,
        " OR engine.unconfirmed_overlapping(d) <> '{}' THEN\n        RETURN 'block_unconfirmed'",
        " THEN\n        RETURN 'block_unconfirmed'",
        f"{_SEARCHES_TEST}::test_without_a_list_the_next_customers_block_is_unconfirmed_too",
    ),
    Guard(
        "a wanted block is looked for and released",
        "schema/functions/32_delivery_changes.sql",
        "       AND NOT engine.block_is_needed(d)\n",
        "",
        f"{_SEARCHES_TEST}::test_a_block_that_is_wanted_is_not_taken_away",
    ),
    Guard(
        "the block of another copy is nobody's",
        _BLOCKS,
        "WHEN engine.may_have_copy(NEW)\n             OR NEW.status",
        "WHEN NEW.status",
        f"{_SEARCHES_TEST}::test_the_block_of_a_second_copy_is_looked_for",
    ),
    Guard(
        "a partner without a list is asked each time",
        "dispatch/blocks.py",
        "        without_list.add(blocks.partner)\n",
        "",
        "tests/unit/dispatch/test_block_lists.py",
    ),
    Guard(
        "each result of a block plans statements for messages that there are none of",
        "schema/functions/06_events.sql",
        "    IF p_deliveries = '{}' THEN\n        RETURN '[]';\n    END IF;\n",
        "",
        f"{_COST_TEST}::test_the_result_of_a_block_is_planned_once",
    ),
    Guard(
        "each result of a block reads the history while Postgres has no statistics",
        _BLOCKS,
        " SET enable_seqscan = off AS $$",
        " AS $$",
        f"{_COST_TEST}::test_the_result_of_a_block_reads_no_other_appointments",
    ),
    Guard(
        "each result of a block reads the coach's later time",
        _BLOCKS,
        "       AND (params ->> 'end_time') COLLATE \"C\" <= engine.zulu(p_to + interval '1 day')\n",
        "",
        f"{_COST_TEST}::test_the_result_of_a_block_reads_no_other_appointments",
    ),
)
