"""The stand-in's keys: made once, and there again after a restart."""

from pathlib import Path
from uuid import uuid4

import pytest

from fairslot.domain.errors import UnavailableError
from fairslot.platform import signing_secrets
from local.sqs import SqsStandIn
from tests.support.environment import set_environment


def test_a_secret_opens_after_a_restart_and_only_for_its_endpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making the key again makes no other one; what was locked for one endpoint opens for no other."""
    made, context = signing_secrets.make(), signing_secrets.for_endpoint(uuid4())
    with SqsStandIn(tmp_path) as first:
        first.make_key("alias/keys")
        set_environment(monkeypatch, first.environment | {"WEBHOOK_KMS_KEY_ID": "alias/keys"})
        signing_secrets.clear_cache()
        locked = signing_secrets.encrypt(made, context)
        assert made not in locked
    with SqsStandIn(tmp_path) as second:
        second.make_key("alias/keys")
        set_environment(monkeypatch, second.environment)
        signing_secrets.clear_cache()
        assert signing_secrets.decrypt(locked, context) == made
        signing_secrets.clear_cache()
        with pytest.raises(UnavailableError):
            signing_secrets.decrypt(locked, signing_secrets.for_endpoint(uuid4()))
    monkeypatch.undo()
    set_environment(monkeypatch, {})
    signing_secrets.clear_cache()
