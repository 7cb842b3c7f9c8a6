"""What the caller's environment decides."""

import pytest

from local.stack_options import OptionError, Options


def test_an_empty_environment_means_the_defaults() -> None:
    """An empty variable counts as a missing one."""
    options = Options.read({"PORT": "", "DATABASE_URL": ""})
    assert (options.port, options.calendar_port, options.crm_port) == (3000, 3001, 3002)
    assert options.given("DATABASE_URL") is None


@pytest.mark.parametrize(("name", "value"), [("PORT", "http"), ("PORT", "70000"), ("HTTP_PROCESSES", "0")])
def test_a_number_that_is_none_is_said(name: str, value: str) -> None:
    """With the variable's name."""
    with pytest.raises(OptionError, match=name):
        Options.read({name: value})
