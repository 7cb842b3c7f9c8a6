"""What models of requests and answers have in common."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """A model that is built when it is first used: a function has dozens, and its first request needs few."""

    model_config = ConfigDict(defer_build=True)


class PersonalModel(Model):
    """An answer with data of a customer: for an idempotency key the database alone keeps it.

    So a customer is forgotten in one place.
    """


class Request(Model):
    """A request; members that it does not know are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)
