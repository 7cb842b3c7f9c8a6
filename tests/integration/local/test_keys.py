"""The stand-in's keys: made once, and there again after a restart."""

from pathlib import Path
from uuid import uuid4

import pytest

from fairslot import secrets
from fairslot.errors import UnavailableError
from local.sqs import SqsStandIn
from tests.dispatch import set_environment


def test_a_secret_opens_after_a_restart_and_only_for_its_endpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making the key again makes no other one; what was locked for one endpoint opens for no other."""
    made, context = secrets.make(), secrets.for_endpoint(uuid4())
    with SqsStandIn(tmp_path) as first:
        first.make_key("alias/keys")
        set_environment(monkeypatch, first.environment | {"WEBHOOK_KMS_KEY_ID": "alias/keys"})
        secrets.forget()
        locked = secrets.encrypt(made, context)
        assert made not in locked
    with SqsStandIn(tmp_path) as second:
        second.make_key("alias/keys")
        set_environment(monkeypatch, second.environment)
        secrets.forget()
        assert secrets.decrypt(locked, context) == made
        secrets.forget()
        with pytest.raises(UnavailableError):
            secrets.decrypt(locked, secrets.for_endpoint(uuid4()))
    monkeypatch.undo()
    set_environment(monkeypatch, {})
    secrets.forget()
