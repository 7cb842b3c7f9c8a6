"""The guards between us and subscribers: who is asked, where, and for how long."""

from tests.mutants.guard import Guard

_ENDPOINTS = "schema/functions/07_endpoints.sql"
_GATES = "webhooks/gates.py"
_GATES_TEST = "tests/unit/webhooks/test_gates.py"

GUARDS = (
    Guard("a silent endpoint is asked for ever", _GATES, "SILENCES = 3\n", "SILENCES = 3_000\n", _GATES_TEST),
    Guard("errors never count", _GATES, "FAILURES = 20\n", "FAILURES = 20_000\n", _GATES_TEST),
    Guard(
        "one public address excuses an inside one",
        "addresses.py",
        "if not all(is_public(address) for address in found):",
        "if not any(is_public(address) for address in found):",
        "tests/unit/test_addresses.py",
    ),
    Guard(
        "a changed endpoint does not reach what is queued",
        _ENDPOINTS,
        "    NEW.revision := OLD.revision + 1;\n",
        "    NEW.revision := OLD.revision;\n",
        "tests/handlers/test_webhook_revisions.py::test_another_address_is_asked_next",
    ),
    Guard(
        "a reading of the dead letters keeps hidden what it leaves",
        "webhooks/aside.py",
        "[(handle, 0) for handle in self._held.values()]",
        "[]",
        "tests/integration/test_dead_letters.py::test_what_the_task_leaves_can_be_sent_at_once",
    ),
    Guard(
        "a reading meets a letter that is visible again",
        "webhooks/aside.py",
        'if one["MessageId"] not in self._seen]',
        'if one["MessageId"]]',
        "tests/integration/test_dead_letters.py::test_a_long_reading_meets_no_letter_twice",
    ),
    Guard(
        "any number of an alphabet is a port",
        "addresses.py",
        "if _AUTHORITY.fullmatch(authority) is None:",
        "if False:",
        "tests/unit/test_addresses.py",
    ),
    Guard(
        "an address is kept as it was written",
        "subscriptions.py",
        "found = addresses.canonical(url, addresses.subscriber_rules())",
        "found = addresses.canonical(url, addresses.subscriber_rules()) and url",
        "tests/handlers/test_api_endpoint_addresses.py::test_a_change_of_address_is_read_the_same_way",
    ),
    Guard(
        "the database keeps an endpoint's address for a key",
        "endpoints.py",
        "        return kept(endpoint), messages\n",
        "        return endpoint, messages\n",
        "tests/handlers/test_api_endpoint_answers.py::test_nothing_of_an_address_is_kept_for_a_key",
    ),
    Guard(
        "an endpoint sends what it was given before a header was refused",
        "webhooks/subscribers.py",
        "if own_headers.may_be_chosen(name)}",
        "if name}",
        "tests/unit/webhooks/test_own_headers.py",
    ),
)
