"""Options that the environment gives."""

import pytest

from local.stack_options import OptionError, StackOptions


def test_an_empty_environment_means_the_defaults() -> None:
    """An empty variable counts as a missing one."""
    options = StackOptions.from_environment({"PORT": "", "DATABASE_URL": ""})
    assert (options.port, options.calendar_port, options.crm_port) == (3000, 3001, 3002)
    assert options.address("DATABASE_URL") is None
    assert options.demo


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "70000"),
        ("HTTP_PROCESSES", "0"),
        ("FAIRSLOT_DEMO", "some"),
        ("CALENDARS", "google,pigeons"),
        ("GOOGLE_PORT", "x"),
        ("CALDAV_PORT", "x"),
    ],
)
def test_an_invalid_value_is_an_error(name: str, value: str) -> None:
    """With the variable's name."""
    with pytest.raises(OptionError, match=name):
        StackOptions.from_environment({name: value})


def test_the_demo_data_can_be_left_out() -> None:
    """With `none`."""
    assert not StackOptions.from_environment({"FAIRSLOT_DEMO": "none"}).demo


def test_stand_ins_of_calendar_providers_are_started_where_they_are_named() -> None:
    """Each once, on a port that can be chosen."""
    assert StackOptions.from_environment({}).calendars == ()
    options = StackOptions.from_environment({"CALENDARS": " google, google,", "GOOGLE_PORT": "3333"})
    assert (options.calendars, options.standin_ports["google"]) == (("google",), 3333)
    every = StackOptions.from_environment({"CALENDARS": "google,microsoft,caldav"})
    assert every.calendars == ("google", "microsoft", "caldav")
    assert [every.standin_ports[kind] for kind in every.calendars] == [3003, 3004, 3005]
