"""The guards of the audit and of forgetting: no change without an entry, nothing of a customer left."""

from tests.mutants.guard import Guard

_AUDIT = "tests/handlers/test_api_audit.py"
_FORGETTING = "tests/handlers/test_api_forgetting.py"
_DELIVERIES = "tests/handlers/test_api_forgetting_deliveries.py"
_RETENTION = "tests/integration/test_audit_retention.py"
_EVERY_ROUTE = f"{_AUDIT}::test_every_changing_route_leaves_an_entry"
_KEPT = f"{_AUDIT}::test_entries_are_neither_changed_nor_deleted"
_NOTHING_LEFT = f"{_FORGETTING}::test_nothing_is_left_of_a_forgotten_customer"

GUARDS = (
    Guard(
        "an entry is written outside the transaction",
        "platform/idempotent.py",
        '    with connection.transaction():\n        row = connection.execute(_SQL["find"]',
        '    if True:\n        row = connection.execute(_SQL["find"]',
        f"{_AUDIT}::test_no_entry_without_its_change",
    ),
    Guard(
        "a change of an appointment has no request",
        "schema/functions/02_changes.sql",
        "CASE WHEN p_after.appointment_id IS NOT NULL\n",
        "CASE WHEN false\n",
        f"{_EVERY_ROUTE}[create_appointment]",
    ),
    Guard(
        "a request is not handed on",
        "http/changes.py",
        "origin=_origin(router)",
        "origin=None",
        _EVERY_ROUTE,
    ),
    Guard(
        "an entry can be changed",
        "schema/functions/27_audit.sql",
        "CREATE TRIGGER audit_kept BEFORE UPDATE OR DELETE ON audit_entries",
        "CREATE TRIGGER audit_kept BEFORE INSERT ON contact_keys",
        _KEPT,
    ),
    Guard(
        "the entry of an appointment can be deleted",
        "schema/functions/27_audit.sql",
        "FOR EACH ROW WHEN (OLD.origin IS NOT NULL) EXECUTE",
        "FOR EACH ROW WHEN (false) EXECUTE",
        _KEPT,
    ),
    Guard(
        "whoever quotes the function may change entries",
        "schema/functions/27_audit.sql",
        "split_part(v_stack, E'\\n', -1) !~ '^PL/pgSQL",
        "v_stack !~ 'PL/pgSQL",
        _KEPT,
    ),
    Guard(
        "a header of an endpoint is in the audit",
        "webhooks/endpoint_entries.py",
        '        "headers": dict.fromkeys(endpoint["headers"], "…"),\n',
        "",
        f"{_EVERY_ROUTE}[create_endpoint]",
    ),
    *(
        Guard(
            f"{table} is left out of forgetting",
            "schema/functions/28_forgetting.sql",
            old,
            new,
            _NOTHING_LEFT,
        )
        for table, old, new in (
            ("an event", "after = engine.without_contact(after), details", "details"),
            ("an answer", "type = 'answer'\n", "type = 'none'\n"),
            (
                "an attempt",
                "UPDATE webhook_attempts SET response_excerpt = NULL",
                "UPDATE webhook_attempts SET error = error",
            ),
            (
                "an inbound event",
                "       AND (body ->> 'appointment_id'",
                "       AND false AND (body ->> 'appointment_id'",
            ),
            ("an absence", "AND strpos(lower(absence.reason)", "AND false AND strpos(lower(absence.reason)"),
            ("the audit", "tenant_id = p_tenant AND resource <> 'coach'", "false AND resource <> 'coach'"),
        )
    ),
    Guard(
        "an address with an escape in it is another one",
        "functions/admin/contacts.py",
        "    return unquote(unquote(text))\n",
        "    return text\n",
        f"{_FORGETTING}::test_an_address_may_have_any_characters",
    ),
    Guard(
        "the audit leaves out what else changes in a team",
        "sql/team_changes.sql",
        "engine.member_json(member)\n",
        "jsonb_build_object('weight', member.manual_weight)\n",
        f"{_AUDIT}::test_whatever_changes_is_in_the_entry[member-change2]",
    ),
    Guard(
        "the cache keeps a customer's data",
        "http/changes.py",
        "return {} if personal else",
        "return",
        _NOTHING_LEFT,
    ),
    Guard(
        "a message on its way is sent on",
        "schema/functions/28_forgetting.sql",
        "IF NOT FOUND OR engine.is_forgotten(p_delivery) THEN",
        "IF NOT FOUND THEN",
        f"{_DELIVERIES}::test_a_slow_endpoint_and_a_full_queue",
    ),
    Guard(
        "nobody is asked before a message is sent",
        "dispatch/partners.py",
        "is_personal=any(members.get(name) for name in people)",
        "is_personal=False",
        f"{_DELIVERIES}::test_no_message_that_waits_for_a_retry_goes_out",
    ),
    Guard(
        "no answer is a permission",
        "dispatch/permits.py",
        "raise RequestFailedError(_UNCHECKED[what]) from None",
        "return math.inf",
        f"{_DELIVERIES}::test_who_cannot_ask_sends_nothing",
    ),
    Guard(
        "a permission has no end",
        "platform/http_client.py",
        "if perf_counter() >= until:",
        "if False:",
        f"{_DELIVERIES}::test_a_request_that_was_permitted_is_waited_for",
    ),
    Guard(
        "a permission is not waited for",
        "functions/admin/contacts.py",
        "time.sleep(db.run(",
        "time.sleep(0 * db.run(",
        f"{_DELIVERIES}::test_a_request_that_was_permitted_is_waited_for",
    ),
    Guard(
        "a delivery that is of no use any more is sent again",
        "schema/functions/28_forgetting.sql",
        "AND engine.carries_contact(p_kind => endpoint.kind, p_type => event.type);",
        "AND false;",
        f"{_DELIVERIES}::test_no_message_that_waits_for_a_retry_goes_out",
    ),
    Guard(
        "what is answered after forgetting is stored",
        "schema/functions/09_deliveries.sql",
        "CASE WHEN NOT engine.is_forgotten(p_delivery) THEN p_excerpt END",
        "p_excerpt",
        f"{_DELIVERIES}::test_a_slow_endpoint_and_a_full_queue",
    ),
    Guard(
        "the audit outlives its retention",
        "platform/audit.py",
        "    deleted, rows = 0, days\n",
        "    deleted, rows = 0, 0\n",
        f"{_RETENTION}::test_it_goes_after_its_time",
    ),
    Guard(
        "the audit goes without a retention",
        "platform/audit.py",
        "    deleted, rows = 0, days\n",
        "    deleted, rows = 0, 1\n",
        f"{_RETENTION}::test_it_is_kept_for_ever",
    ),
)
