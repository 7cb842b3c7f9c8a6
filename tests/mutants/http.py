"""The guards of the HTTP edge: contracts, what a key is tied to and keeps, and how large an answer gets."""

from tests.mutants.guard import Guard

_TESTS = "tests/handlers"
_METADATA = f"{_TESTS}/test_api_metadata.py"
_ANSWERS = f"{_TESTS}/test_api_kept_answers.py"
_REPEATED = f"{_TESTS}/test_api_idempotency.py"
_BODIES = f"{_TESTS}/test_api_bad_bodies.py"
_ROUTING = "tests/unit/http/test_routing.py"
_RACES = f"{_TESTS}/test_api_idempotency_races.py"
_AFTER = "tests/integration/local/test_after_answer.py"
_EXTENSION = "tests/unit/platform/test_after_answer.py"
_IMPORTS = "tests/unit/test_handler_imports.py"
_QUERIES = f"{_TESTS}/test_api_bad_queries.py"

GUARDS = (
    Guard(
        "a route without a contract starts",
        "http/api.py",
        "    routing.declared(app)\n",
        "",
        f"{_ROUTING}::test_an_app_with_an_undeclared_route_does_not_start",
    ),
    Guard(
        "a route without a contract is served",
        "http/routing.py",
        "            return _contract(one)\n    return None",
        "            return _contracts.get((one.func, one.method, one.path))\n    return None",
        f"{_ROUTING}::test_a_route_that_is_added_later_is_not_served",
    ),
    Guard(
        "a route's scope is not checked",
        "access/authorize.py",
        "    may = scope is None or scope in caller.scopes",
        "    may = True",
        f"{_TESTS}/test_api_authentication.py::test_a_key_without_the_scope_is_refused",
    ),
    Guard(
        "an empty key is none",
        "http/changes.py",
        '"idempotency-key") if name in headers}',
        '"idempotency-key") if headers.get(name)}',
        f"{_QUERIES}::test_an_idempotency_key_that_is_none_is_refused",
    ),
    Guard(
        "a default that is written out is another request",
        "http/changes.py",
        "value.model_dump(exclude_defaults=True)",
        "value.model_dump(exclude_unset=True)",
        f"{_REPEATED}::test_however_it_is_written_it_is_the_same_request",
    ),
    Guard(
        "who books is kept with the key",
        "schema/functions/02_changes.sql",
        "IF p_key IS NULL OR p_type = 'appointment.created' THEN",
        "IF p_key IS NULL THEN",
        f"{_ANSWERS}::test_who_books_is_not_kept_with_the_key",
    ),
    Guard(
        "jsonb writes metadata's numbers anew",
        "booking/appointments.py",
        "Jsonb(write(metadata))",
        "Jsonb(dict(metadata))",
        f"{_METADATA}::test_numbers_come_back_as_they_were_written",
    ),
    Guard(
        "a page is as large as its entries",
        "http/pages.py",
        "if left < 0 and number:",
        "if left < 0 and not entries:",
        f"{_METADATA}::test_a_list_is_cut_by_its_bytes",
    ),
    Guard(
        "a page may be empty",
        "http/pages.py",
        "if left < 0 and number:",
        "if left < 0:",
        f"{_METADATA}::test_a_page_has_one_entry_at_least",
    ),
    Guard(
        "a name may show as another one",
        "http/types.py",
        '_CONTROLS = frozenset({"Cc", "Cf", "Zl", "Zp"})',
        '_CONTROLS = frozenset({"Cc"})',
        f"{_BODIES}::test_what_cannot_be_meant_is_said_by_its_place",
    ),
    Guard(
        "what a path is not for is not there",
        "http/api.py",
        "    if not allowed:",
        "    if allowed is not None:",
        f"{_QUERIES}::test_a_path_is_not_for_every_method",
    ),
    Guard(
        "events are published before the answer",
        "http/changes.py",
        "        after_answer.run(partial(publishing.publish, messages))",
        "        publishing.publish(messages)",
        f"{_AFTER}::test_a_slow_queue_delays_no_answer_unless_it_is_asked_in_line",
    ),
    Guard(
        "work that fails ends the extension",
        "platform/after_answer.py",
        "except Exception as error:  # noqa: BLE001 - whatever it is, the others come next",
        "except ZeroDivisionError as error:",
        f"{_AFTER}::test_work_that_fails_is_logged_and_costs_no_answer",
    ),
    Guard(
        "work begins before the handler has ended",
        "platform/after_answer.py",
        "            works = _Process.answered.get()",
        "            works = _Process.left",
        f"{_EXTENSION}::test_work_waits_until_the_invocation_is_over",
    ),
    Guard(
        "a record in progress is the last word",
        "http/changes.py",
        "        if known is None:",
        "        if known is None or known:",
        f"{_RACES}::test_a_record_is_completed_after_the_answer",
    ),
    Guard(
        "a request over the limit takes its key",
        "access/limits.py",
        "        return {0, 0, reset, 0, 0}\n",
        "        if KEYS[4] then redis.call('SET', KEYS[4], ARGV[5], 'EX', ARGV[6], 'NX') end\n"
        "        return {0, 0, reset, 0, 0}\n",
        f"{_RACES}::test_past_the_limit_a_key_is_not_taken",
    ),
    Guard(
        "a count that is left to a route is not made by a refusal",
        "http/api.py",
        "                one.check()\n",
        "                pass\n",
        f"{_TESTS}/test_api_rate_limits.py::test_every_answer_to_a_known_caller_tells_the_limit",
    ),
    Guard(
        "HEAD is answered with a body",
        "http/api.py",
        '        answer["body"] = ""\n',
        "        pass\n",
        f"{_QUERIES}::test_head_is_get_without_a_body",
    ),
    Guard(
        "every function loads botocore at import",
        "platform/queue.py",
        "from fairslot.domain.errors import QueueError\n",
        "import botocore.session  # noqa: F401\n\nfrom fairslot.domain.errors import QueueError\n",
        _IMPORTS,
    ),
    Guard(
        "all models are built at import",
        "http/models.py",
        "ConfigDict(defer_build=True)",
        "ConfigDict()",
        _IMPORTS,
    ),
    Guard(
        "nothing is prepared before a snapshot",
        "http/api.py",
        "    snapshot.prepare_before(app)\n",
        "",
        f"{_TESTS}/test_first_events.py::test_after_a_snapshot_a_first_event_loads_nothing",
    ),
)
