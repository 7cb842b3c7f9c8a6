"""Which statements know the tenant, and that each place where it is compared is one that a test takes out."""

from tests.support.tenant_filters import statements

# Why a statement needs no tenant. What answers a request and is not one of these has it.
WITHOUT = {
    "the system's own work, for all tenants": """
        absences.delete_old audit.expire calendar_events.compare calendar_events.permit
        calendar_events.send_due contacts.permit days.delete_old
        deliveries.mark_dead_letters_failed deliveries.states gauges.each_minute gauges.fairness_deviation
        holds.expire idempotent.forget_expired
        inbound.left_over outbox.claim outbox.emit_stale outbox.end_disabled outbox.look_for_blocks
        outbox.make_deliveries outbox.mark_published outbox.mark_sent outbox.record_attempt
        outbox.unconfirmed_blocks outbox.waiting read_model.delete_old read_model.fold
        retention.calendar_events retention.decided retention.deliveries retention.events retention.inbound
        sync.due sync.failed sync.note_provider sync.renew watches.due watches.ended zones.calendar_zones
        zones.days_apart""",
    "of the deployment, not of a tenant": """
        admin.count_keys bookable_starts.page_key contacts.key
        issuer_keys.ask issuer_keys.claim issuer_keys.failed issuer_keys.find issuer_keys.forget
        issuer_keys.store rate_counts.count rate_counts.forget""",
    "tells whose it is": """
        api_keys.find api_keys.was_used connections.state connections.use inbound.claim
        signed_requests.find""",
    "of one source, which a proof or an answer names": """
        sync.notified watches.failed watches.stopped watches.store""",
    "goes on with the row that inbound.claim has locked": "inbound.note_progress inbound.processed",
    "goes on with the coaches that days.coaches has found": "days.extend days.replace days.store days.stored",
    "goes on with the coach whom a booking of the tenant has chosen": "recheck.sources recheck.store",
    "no data: a lock, and for which request the transaction is": "endpoints.lock_recovery audit.act_for",
}
ALL = list(statements())


def test_a_statement_has_the_tenant_or_a_reason() -> None:
    """A new one without either is a hole, and a reason that is not needed any more goes."""
    without = {one.name for one in ALL if not one.is_routine and not one.has_tenant}
    assert without == {name for names in WITHOUT.values() for name in names.split()}


def test_every_comparison_can_be_taken_out() -> None:
    """It is `tenant_id = %(tenant)s`, `<> p_tenant`, `IS DISTINCT FROM c.tenant_id` or another such pair."""
    assert {one.name: one.unknown_comparisons() for one in ALL if one.unknown_comparisons()} == {}


def test_a_routine_without_a_filter_hands_the_tenant_on() -> None:
    """To one that has a filter, or it writes a row of the tenant's."""
    told = [one for one in ALL if one.is_routine and one.has_tenant and not any(one.filters())]
    kept = [one for one in told if "p_tenant => p_tenant" not in one.text]
    assert [one.name for one in kept if "INSERT INTO" not in one.text] == []
