"""The guards of the HTTP edge: contracts, what a key is tied to and keeps, and how large an answer gets."""

from tests.mutants.guard import Guard

_TESTS = "tests/handlers"
_METADATA = f"{_TESTS}/test_api_metadata.py"
_ANSWERS = f"{_TESTS}/test_api_kept_answers.py"
_REPEATED = f"{_TESTS}/test_api_idempotency.py"
_BODIES = f"{_TESTS}/test_api_bad_bodies.py"
_ROUTING = "tests/unit/http/test_routing.py"
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
        "    if scope is not None and scope not in caller.scopes:",
        "    if scope == '':",
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
        "schema/functions/13_booking.sql",
        "p_answer => engine.booked_json(a),",
        "p_answer => engine.appointment_json(a),",
        _ANSWERS,
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
