"""The context of a Lambda invocation."""

from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, cast
from uuid import uuid4

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@dataclass
class Context:
    """What a function gets to know of its invocation, of so many seconds since this was made."""

    seconds: float = 60.0
    function_name: str = "test"
    memory_limit_in_mb: int = 1024
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:000000000000:function:test"
    aws_request_id: str = field(default_factory=lambda: str(uuid4()))
    begun: float = field(default_factory=monotonic)

    def get_remaining_time_in_millis(self) -> int:
        """Return what is left of the invocation."""
        return int((self.begun + self.seconds - monotonic()) * 1000)


def context(seconds: float = 10.0) -> "LambdaContext":
    """Return the context of an invocation that may take so many seconds."""
    return cast("LambdaContext", Context(seconds))
