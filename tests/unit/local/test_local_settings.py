"""The local stack's own settings: shorter waits than what is deployed, and no promise less."""

from fairslot.platform.queue import LONGEST_DELAY_SECONDS
from fairslot.platform.settings import Settings
from local.function_env import LOCAL_SETTINGS


def test_what_is_held_back_has_the_time_for_all_its_attempts() -> None:
    """A delivery may wait twice for as long as a queue holds anything back, and is tried to the last."""
    local = Settings.model_validate({name.lower(): value for name, value in LOCAL_SETTINGS.items()})
    waits = [float(seconds) for seconds in local.webhook_schedule_seconds.split(",")]
    waits += waits[-1:] * local.webhook_max_attempts
    tried = sum(waits[: local.webhook_max_attempts - 1])
    assert local.webhook_give_up_seconds > tried + 2 * LONGEST_DELAY_SECONDS
