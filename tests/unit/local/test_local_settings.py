"""The local stack's own settings: shorter waits than what is deployed, and no promise less."""

from fairslot.platform.queue import LONGEST_DELAY_SECONDS
from fairslot.platform.settings import Settings
from local.function_env import LOCAL_SETTINGS
from tests.support.cloudformation import environment, functions


def test_only_this_machine_takes_keys_without_their_form() -> None:
    """The demo's keys are easy to type, and to guess: what is deployed does not let them in."""
    assert LOCAL_SETTINGS["ANY_KEY_FORM"] == "true"
    assert Settings.model_fields["any_key_form"].default is False
    assert all("ANY_KEY_FORM" not in environment(one) for one in functions().values())


def test_what_is_held_back_has_the_time_for_all_its_attempts() -> None:
    """A delivery may wait twice for as long as a queue holds anything back, and is tried to the last."""
    local = Settings.model_validate({name.lower(): value for name, value in LOCAL_SETTINGS.items()})
    waits = [float(seconds) for seconds in local.webhook_schedule_seconds.split(",")]
    waits += waits[-1:] * local.webhook_max_attempts
    tried = sum(waits[: local.webhook_max_attempts - 1])
    assert local.webhook_give_up_seconds > tried + 2 * LONGEST_DELAY_SECONDS
