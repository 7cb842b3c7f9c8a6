"""Each statement is of one tenant: it shows nothing of another, and without its filter it would."""

from collections.abc import Iterator

import pytest

from fairslot.platform import db
from local.postgres import EmbeddedPostgres
from tests.support.databases import Databases
from tests.support.tenant_filters import Filter, Statement, filters, statements
from tests.support.tenant_probes import World

# An id of a coach or a calendar that another tenant has cannot be made: docs/decisions/0120.
_MAKE = {"calendars.put", "coaches.put", "put_calendar", "put_coaches"}
# Parts of what is tested, which are given what was found by tenant.
_PARTS = {"apply_conflict_policy", "change_to_list", "record_change", "store_answer"}
_FILTERS = filters()
_STATEMENTS = [
    one
    for one in statements()
    if not one.is_called_alone
    and one.place != "sql/admin.sql"
    and one.name not in _PARTS
    and (any(one.filters()) or one.has_tenant)
]


# What the audit answers to whoever changes an entry; other errors of its class are of the text itself.
_REFUSED = "42501"
# Filters beside another one in the same statement, which alone would do; it says why they are there.
_BESIDE = {
    "sql/distribution.sql:distribution.shares:2": "finds a period by coach_appointments_by_tenant",
    "sql/distribution.sql:distribution.shares:3": "likewise",
    "functions/28_forgetting.sql:forget_contact:2": "finds answers by changes_key; the ids are the tenant's",
}


@pytest.fixture(scope="module")
def world(postgres: EmbeddedPostgres, databases: Databases) -> Iterator[World]:
    """Two tenants in a database that every test leaves as it was."""
    with databases.lent() as name, db.connect(postgres.url_of(name)) as connection:
        yield World(connection)


@pytest.mark.parametrize("statement", _STATEMENTS, ids=lambda one: f"{one.place}:{one.name}")
def test_nothing_of_another_tenant_is_seen_or_changed(world: World, statement: Statement) -> None:
    """Whichever of the ids are the other's: they are as ids of nothing."""
    for call, values in world.calls(statement):
        outcome, nothing = world.outcome(call, values), world.of_nothing(values)
        assert world.of_owner(outcome, values) == [], values
        if nothing != values and statement.name not in _MAKE:
            expected = world.outcome(call, nothing).without(nothing.values())
            assert outcome.without(values.values()) == expected, values


@pytest.mark.parametrize("one", _FILTERS, ids=str)
def test_without_its_filter_another_tenant_appears(world: World, one: Filter) -> None:
    """In the rows, in what is changed, or in what is locked or refused."""
    for call, values in world.calls(one.statement):
        kept = world.outcome(call, values)
        if one.statement.is_routine:
            without = world.outcome(call, values, instead=one.without)
        else:
            without = world.outcome(one.without, values)
        assert without.error == _REFUSED or not without.error.startswith(("42", "22")), without
        if without != kept:
            assert str(one) not in _BESIDE
            return
    assert str(one) in _BESIDE, f"nothing shows that {one.text} is there"
