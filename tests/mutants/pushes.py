"""The guards of notifications: what is proven, what counts, and which channels are stopped."""

from tests.mutants.guard import Guard

_APP = "functions/calendar_push/app.py"
_WATCHES = "schema/functions/38_watches.sql"
_PUSHED = "tests/handlers/test_calendar_push.py"
_WATCHED = "tests/integration/test_watches.py"

GUARDS = (
    Guard(
        "a forged notification is handed on",
        "calendars/push_secret.py",
        "return channel if hmac.compare_digest(proof, self._proof(key_id, channel)) else None",
        "return channel",
        f"{_PUSHED}::test_a_flood_of_forged_notifications_costs_an_hmac_each",
    ),
    Guard(
        "notifications come in beside CloudFront",
        _APP,
        "    if not edge_proof.may_come_in",
        "    if False and edge_proof.may_come_in",
        f"{_PUSHED}::test_where_cloudfront_is_the_only_way_in_others_are_refused",
    ),
    Guard(
        "what the queue did not take is lost",
        _APP,
        "answer = _answered(HTTPStatus.SERVICE_UNAVAILABLE)",
        "pass",
        f"{_PUSHED}::test_what_the_queue_does_not_take_is_told_again",
    ),
    Guard(
        "a subscription that was removed is taken for a change",
        "calendars/push.py",
        '"subscriptionRemoved": "removed"',
        '"subscriptionRemoved": "changed"',
        f"{_PUSHED}::test_what_becomes_of_a_subscription_is_told",
    ),
    Guard(
        "a subscription that has to be authorized again is not renewed",
        _WATCHES,
        "UPDATE calendar_watches SET due_at = least(due_at, v_due) WHERE source_id = p_source;",
        "",
        f"{_WATCHED}::test_a_subscription_that_asks_for_it_is_renewed",
    ),
    Guard(
        "a channel that was replaced still counts",
        _WATCHES,
        "INTO v_due FROM calendar_watches\n"
        "     WHERE source_id = p_source AND p_generation BETWEEN counts_from AND generation;",
        "INTO v_due FROM calendar_watches\n     WHERE source_id = p_source AND p_generation <= generation;",
        f"{_WATCHED}::test_a_lost_answer_leads_to_one_more_channel",
    ),
    Guard(
        "the next channel has the generation of the last",
        _WATCHES,
        "CASE WHEN due.renews THEN 0 ELSE 1 END, asked_at",
        "CASE WHEN due.renews OR watch.generation > 0 THEN 0 ELSE 1 END, asked_at",
        f"{_WATCHED}::test_a_lost_answer_leads_to_one_more_channel",
    ),
    Guard(
        "a channel that comes late takes the place of the one that is there",
        _WATCHES,
        "    ELSIF p_generation < v_watch.counts_from\n",
        "    ELSIF false\n",
        f"{_WATCHED}::test_an_answer_that_comes_late_is_of_a_channel_that_is_stopped",
    ),
    Guard(
        "the channel of a source that goes is left",
        _WATCHES,
        "    IF TG_OP <> 'INSERT' THEN\n        SELECT * INTO v_channel",
        "    IF false THEN\n        SELECT * INTO v_channel",
        f"{_WATCHED}::test_a_channel_is_stopped_when_its_source_goes",
    ),
    Guard(
        "a notification is a reading each",
        "schema/functions/34_calendars_read.sql",
        "AND (source.requested_at IS NULL OR source.requested_at <= p_now"
        " OR source.requested_at > p_now + p_pause)",
        "",
        f"{_WATCHED}::test_two_notifications_at_once_are_one_reading_after_them",
    ),
    Guard(
        "a grant is revoked before its channel is stopped",
        "functions/calendar_fetch/app.py",
        "        if request.channel is not None:",
        "        if False:",
        "tests/integration/calendars/test_pushes.py::test_the_channel_is_stopped_before_the_grant_is_revoked",
    ),
)
