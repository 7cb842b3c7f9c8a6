"""What every message has in common: read strictly, written as JSON in ASCII."""

import json
from typing import Any

from pydantic import TypeAdapter, ValidationError

_adapters: dict[type, TypeAdapter[Any]] = {}


class MessageError(ValueError):
    """The message does not have the agreed shape."""

    def __init__(self) -> None:
        """Say no more than that: the values belong to customers and stay out of the logs."""
        super().__init__(type(self).__doc__)


def read[T](kind: type[T], body: str) -> T:
    """Read a body as a message of that kind; unknown members are ignored, as a newer version may send them.

    Raises MessageError.
    """
    try:
        return adapter(kind).validate_json(body)
    except ValidationError:
        # Its text quotes the values.
        raise MessageError from None


def write(message: object) -> str:
    """Write a message's body."""
    return to_json(adapter(type(message)).dump_python(message, mode="json"))


def to_json(body: object) -> str:
    """Write JSON in ASCII: SQS refuses characters that XML does not allow, such as U+FFFF."""
    return json.dumps(body, separators=(",", ":"))


def adapter[T](kind: type[T]) -> TypeAdapter[T]:
    """Return what reads and writes a kind of message; built on first use, as a function has few kinds."""
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]
