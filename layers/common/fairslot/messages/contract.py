"""What every message has in common: read strictly, written as JSON in ASCII."""

import json

from pydantic import TypeAdapter, ValidationError


class MessageError(ValueError):
    """The message does not have the agreed shape."""

    def __init__(self) -> None:
        """Say no more than that: the values belong to customers and stay out of the logs."""
        super().__init__(type(self).__doc__)


def read[T](adapter: TypeAdapter[T], body: str) -> T:
    """Read a message's body; unknown members are ignored, as a newer version may send them.

    Raises MessageError.
    """
    try:
        return adapter.validate_json(body)
    except ValidationError:
        # Its text quotes the values.
        raise MessageError from None


def write[T](adapter: TypeAdapter[T], message: T) -> str:
    """Write a message's body."""
    return to_json(adapter.dump_python(message, mode="json"))


def to_json(body: object) -> str:
    """Write JSON in ASCII: SQS refuses characters that XML does not allow, such as U+FFFF."""
    return json.dumps(body, separators=(",", ":"))
