"""The guards of our own time: how long a dependency is waited for, and how many keys may be guessed."""

from tests.mutants.guard import Guard

_HANGING = "tests/handlers/test_api_hanging.py"
_UNKNOWN = "tests/handlers/test_api_unknown_keys.py"
_FROZEN = "tests/integration/test_booking_frozen.py"

GUARDS = (
    Guard(
        "a database is waited for without end",
        "platform/db.py",
        "        left = time_limit.left()\n        if left",
        '        left = float("inf")\n        if left',
        f"{_HANGING}::test_a_batch_is_answered_before_its_function_is_killed",
    ),
    Guard(
        "a connection that was cut off is used again",
        "platform/db.py",
        "            if time_limit.left() <= 0:\n                self.close()\n            raise",
        "            raise",
        f"{_HANGING}::test_what_was_cut_off_is_not_read_as_the_next_answer",
    ),
    Guard(
        "a server that takes no connection is asked by everybody",
        "platform/db.py",
        "if time.monotonic() < _Session.rest_until:",
        "if False:",
        f"{_HANGING}::test_a_database_that_hangs_is_503_in_time",
    ),
    Guard(
        "everybody waits for a queue that hangs",
        "platform/queue.py",
        "return too_late or time.monotonic() < _Unanswered.until.get(queue_url, 0.0)",
        "return too_late",
        f"{_HANGING}::test_a_queue_that_hangs_costs_nobody_a_booking",
    ),
    Guard(
        "a statement goes on without its client",
        "schema/tables/0001_baseline/1_calendars.sql",
        "SET client_connection_check_interval = ''1s''",
        "SET client_connection_check_interval = 0",
        f"{_FROZEN}::test_a_statement_whose_client_has_given_up_does_not_go_on",
    ),
    Guard(
        "guesses are looked up without a limit",
        "access/keys.py",
        "    is_new = address.check(digest)\n",
        "    is_new = True\n",
        f"{_UNKNOWN}::test_past_the_limit_guesses_are_not_looked_up",
    ),
    Guard(
        "guesses lock out known keys of the same address",
        "access/guesses.py",
        "if key is not None and self._is_known(key):",
        "if False:",
        f"{_UNKNOWN}::test_a_known_key_works_from_the_address_of_a_guesser",
    ),
    Guard(
        "guessed signatures are not counted",
        "access/authorize.py",
        'error.reason = "signature"\n        address.count_wrong()\n',
        'error.reason = "signature"\n',
        "tests/handlers/test_api_signed_events.py::test_invalid_signatures_are_counted_by_address",
    ),
    Guard(
        "a source has a rate limit for each spelling of its id",
        "access/signed_requests.py",
        'key_id=f"source:{source}"',
        'key_id=f"source:{source_id}"',
        "tests/handlers/test_api_signed_events.py"
        "::test_a_source_has_one_rate_limit_however_its_id_is_written",
    ),
    Guard(
        "where a redirect leads is read by the client",
        "platform/http_client.py",
        'event_hooks={"response": [_set_location_aside]},',
        "",
        "tests/unit/platform/test_http_client.py::test_wherever_a_redirect_leads_its_status_is_known",
    ),
)
