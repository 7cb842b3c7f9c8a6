"""New signing secrets, each returned in one answer only."""

from collections.abc import Callable, Mapping

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from pydantic import BaseModel

from fairslot.http import changes
from fairslot.platform import signing_secrets


def with_new_secret[T: BaseModel](
    router: Router, model: type[T], context: Mapping[str, str], work: Callable[[str], changes.Done]
) -> Response[T]:
    """Make a secret, do `work` with its ciphertext, and answer with the secret: null in a replay.

    `context` is the encryption context of what the secret is for.
    """
    secret = signing_secrets.make()
    done = work(signing_secrets.encrypt(secret, context))
    answer = {**done.answer, "secret": None if done.replayed else secret}
    return changes.respond(router, model.model_validate(answer), replayed=done.replayed)
