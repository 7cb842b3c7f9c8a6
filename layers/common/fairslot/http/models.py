"""What models of requests and answers have in common."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError


class Model(BaseModel):
    """A model that is built when it is first used: a function has dozens, and its first request needs few."""

    model_config = ConfigDict(defer_build=True)


class Request(Model):
    """A request; members that it does not know are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _is_object(cls, value: object) -> object:
        """Refuse what is no object: the library would read the members from any other value's attributes."""
        if not isinstance(value, Mapping | Request):
            raise PydanticCustomError("model_type", "use an object")
        return value
