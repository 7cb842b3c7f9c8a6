"""The page about costs says what its command computes."""

import pytest

from tests.support.cloudformation import resources
from tools import cost


def test_the_page_is_what_the_command_prints() -> None:
    """Whoever changes the template, a price or the run of the benchmark writes the page anew."""
    page = cost.PAGE.read_text("utf-8")
    assert cost.written(page) == page


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_every_class_has_a_price_and_prod_pays_for_two(stage: str) -> None:
    """Of instances, where another zone takes over."""
    [database] = [one for one in cost.idle(stage) if one.what.startswith("database")]
    assert database.amount == cost.HOURS * (2 if stage == "prod" else 1)
    assert database.dollars > 20


def test_every_alarm_is_paid_for() -> None:
    """One with arithmetic for each metric that it reads."""
    [alarms] = [one for one in cost.idle("dev") if one.what == "alarms"]
    assert alarms.amount == len(resources("AWS::CloudWatch::Alarm")) + 1


def test_a_price_says_where_it_was_read_or_that_it_was_not() -> None:
    """With a date in the source."""
    for price in cost.PRICES.values():
        assert price["dollars"] > 0
        assert "202" in price.get("source", "2026")


def test_a_booking_is_billed_for_what_follows_its_answer() -> None:
    """And for the part of a processor that it has."""
    assert cost.billed_ms("BookingFunction") > 5
    assert cost.billed_ms("DispatchFunction") > 1000 * cost.SUBSCRIBER_SECONDS
