"""What models of requests and answers have in common."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError


class Model(BaseModel):
    """A model that is built when it is first used: a function has dozens, and its first request needs few."""

    model_config = ConfigDict(defer_build=True)


def example(**members: Any) -> ConfigDict:
    """Return the configuration of a request whose description shows a body with these members."""
    return ConfigDict(json_schema_extra={"examples": [members]})


class PersonalModel(Model):
    """An answer with data of a customer: for an idempotency key the database alone keeps it.

    So a customer is forgotten in one place.
    """


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


class RequirementModel(Model):
    """An attribute (name:value) that coaches must have, and who requires it: the calendar or the request."""

    model_config = ConfigDict(from_attributes=True)

    rule: Literal["calendar", "request"]
    attribute: str
