"""The id by which a change is found in every log, from its request to the last delivery of its event."""

from collections.abc import Mapping
from typing import Any


def correlation_id(data: Mapping[str, Any], version: object) -> str | None:
    """Return the id of a change of an appointment: its id and its version after it; None of any other change.

    Both stand in the answer to whoever made the change and in each message of its event, so that nothing has
    to be passed on beside them.
    """
    return f"{data['appointment_id']}/{version}" if version and "appointment_id" in data else None
