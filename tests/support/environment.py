"""The environment that the process's functions see, and what they remember of it."""

from collections.abc import Mapping

import pytest

from fairslot.access import client_address, issuers, keys
from fairslot.platform import cache, db, queue, signing_secrets
from fairslot.platform.settings import settings


def set_environment(patch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> None:
    """Change the environment and let the functions see it."""
    for name, value in variables.items():
        patch.setenv(name, value)
    settings.cache_clear()
    queue.clear_cache()


def clear_caches() -> None:
    """Forget settings, keys, secrets and connections, as a process that has just started."""
    settings.cache_clear()
    client_address.clear_cache()
    issuers.clear_cache()
    keys.clear_cache()
    queue.clear_cache()
    signing_secrets.clear_cache()
    cache.close()
    db.close()
