"""Secrets Manager: a generated secret has punctuation although `ExcludePunctuation` is set."""

import string
from collections.abc import Callable
from typing import Any

from ministack.services.cloudformation import provisioners  # type: ignore[import-not-found]


def correct() -> None:
    """Leave out punctuation where the template says so."""
    provisioners._sm_secret_string = _without_punctuation(provisioners._sm_secret_string)  # noqa: SLF001


def _without_punctuation(made: Callable[[dict[str, Any]], str]) -> Callable[[dict[str, Any]], str]:
    def secret(properties: dict[str, Any]) -> str:
        wanted = dict(properties.get("GenerateSecretString") or {})
        if wanted.get("ExcludePunctuation"):
            wanted["ExcludeCharacters"] = string.punctuation + wanted.get("ExcludeCharacters", "")
        return made(properties | ({"GenerateSecretString": wanted} if wanted else {}))

    return secret
