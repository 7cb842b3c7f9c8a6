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
)
