"""What requests to set something have in common: replaced as a whole, or patched (RFC 7396).

A request to patch has the same members as one to replace, each of which may be left out or null. What is
patched is validated as what is replaced.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import model_serializer

from admin.settings_types import Buffer
from fairslot.http.models import Model, Request


class Patch(Request):
    """The members that were given, null among them."""

    @model_serializer
    def _given_members(self) -> dict[str, Any]:
        return {
            name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set
        }


class Buffers(Request):
    """Minutes that are kept free around an appointment."""

    before: Buffer = 0
    after: Buffer = 0


class BuffersPatch(Patch):
    """Other buffers."""

    before: Buffer | None = None
    after: Buffer | None = None


class BuffersModel(Model):
    """Minutes that are kept free around an appointment."""

    before: int
    after: int


def merged(known: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resource with a merge patch applied (RFC 7396): null removes, objects are merged."""
    result = dict(known)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            inner = result.get(name)
            result[name] = merged(inner if isinstance(inner, Mapping) else {}, value)
        else:
            result[name] = value
    return result
