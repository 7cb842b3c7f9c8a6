"""The guards of watching: silence is heard, refusals have reasons, and one id leads through the logs."""

from tests.mutants.guard import Guard

_MAINTENANCE = "functions/background/maintenance.py"
_GAUGES = "tests/integration/test_gauges.py"
_MEASURES = "tests/handlers/test_api_measures.py"

GUARDS = (
    Guard(
        "a task that fails is counted as ended",
        _MAINTENANCE,
        "    with time_limit.of(context):\n",
        '    metrics.add_metric(name=RUNS[event["task"]], unit=MetricUnit.Count, value=1)\n'
        "    with time_limit.of(context):\n",
        f"{_GAUGES}::test_a_task_that_fails_is_not_counted",
    ),
    Guard(
        "a calendar that was never read is not stale",
        "sql/gauges.sql",
        "FILTER (WHERE source.ended IS NULL AND coalesce(source.synced_at, source.first_requested_at)",
        "FILTER (WHERE source.ended IS NULL AND source.synced_at",
        f"{_GAUGES}::test_stale_calendars_and_the_oldest",
    ),
    Guard(
        "a replay is counted as a booking",
        "http/measures.py",
        'is_replay = "Idempotent-Replayed" in answer["headers"]',
        "is_replay = False",
        f"{_MEASURES}::test_a_booking_is_counted_once",
    ),
    Guard(
        "refusals have no reason",
        "http/measures.py",
        '        _add(f"{contract.measured}Refused{refused_name(code)}")\n',
        "",
        f"{_MEASURES}::test_a_refusal_is_counted_by_its_reason",
    ),
    Guard(
        "a request is not found by its change",
        "http/changes.py",
        "    measures.note_change(answer)\n",
        "",
        f"{_MEASURES}::test_a_booking_is_counted_once",
    ),
    Guard(
        "attempts do not say of which change they are",
        "functions/webhook_dispatch/app.py",
        '            "correlation_id": correlation_id,\n',
        "",
        "tests/handlers/test_webhook_dispatch.py::test_an_attempt_says_which_change_it_tells_of",
    ),
)
