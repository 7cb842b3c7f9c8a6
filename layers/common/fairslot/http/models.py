"""What models of requests and answers have in common."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """A model that is built when it is first used: a function has dozens, and its first request needs few."""

    model_config = ConfigDict(defer_build=True)


class Request(Model):
    """A request; members that it does not know are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RequirementModel(Model):
    """An attribute (name:value) that coaches must have, and who requires it: the calendar or the request."""

    model_config = ConfigDict(from_attributes=True)

    rule: Literal["calendar", "request"]
    attribute: str
