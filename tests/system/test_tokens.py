"""Tokens on the whole stack: an issuer over HTTP whose keys change while customers come."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
import pytest

from tests.support.stack import KEY, Stack, running, wait_until
from tests.support.token_issuer import TokenIssuer, published

CLIENTS = 3
GOOD = {200, 422}


@pytest.fixture
def issuer() -> Iterator[TokenIssuer]:
    """An issuer whose keys are published on loopback."""
    made = TokenIssuer()
    made.add_key("one")
    with published(made):
        yield made


@pytest.fixture
def stack(issuer: TokenIssuer, tmp_path: Path) -> Iterator[Stack]:
    """A stack that accepts the issuer's tokens."""
    setting = [{**issuer.setting, "rate_limit": 100_000}]
    many = {"MAX_REQUESTS_PER_ADDRESS": "1000000", "MAX_UNKNOWN_KEYS_PER_MINUTE": "1000"}
    with running(tmp_path / "data", {"TOKEN_ISSUERS": json.dumps(setting), **many}) as made:
        yield made


class Clients:
    """Clients who read, and ask for a change that is refused for its body, and what they were answered.

    `credential` gives the headers of each request.
    """

    def __init__(self, url: str, credential: Callable[[], Mapping[str, str]]) -> None:
        self._url = url
        self._credential = credential
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._work) for _ in range(CLIENTS)]
        self.statuses: list[int] = []
        for one in self._threads:
            one.start()

    def _work(self) -> None:
        with httpx.Client(base_url=self._url, timeout=30) as client:
            while not self._ended.is_set():
                answer = client.get("/api/appointments?limit=1", headers=self._credential())
                self.statuses.append(answer.status_code)
                keyed = {**self._credential(), "X-Idempotency-Key": str(uuid4())}
                answer = client.post("/api/holds", json={}, headers=keyed)
                self.statuses.append(answer.status_code)

    def wait_for(self, times: int) -> None:
        """Wait until so many more answers have come."""
        enough = len(self.statuses) + times
        wait_until(lambda: len(self.statuses) >= enough, 60, "the clients are answered")

    def end(self) -> None:
        """Wait for the last answers."""
        self._ended.set()
        for one in self._threads:
            one.join()


def has_stored_keys(stack: Stack) -> bool:
    """Tell whether the issuer's public keys are there."""
    with psycopg.connect(stack.state["database_url"]) as connection:
        return connection.execute("SELECT FROM issuer_keys WHERE keys <> '[]'").fetchone() is not None


@pytest.mark.alone
def test_an_issuer_s_key_is_rotated_under_load(stack: Stack, issuer: TokenIssuer) -> None:
    """Its tokens open the API with no key of ours, and no good request is refused while its key changes."""
    url = str(stack.api.base_url)
    # A token that came before would ask for them, and the next one who asks waits for a minute.
    wait_until(lambda: has_stored_keys(stack), 60, "the schedule has had the keys read")
    clients = Clients(url, lambda: {"Authorization": f"Bearer {issuer.token()}"})
    try:
        clients.wait_for(20)
        issuer.add_key("two")  # signs at once, and nobody was told
        clients.wait_for(40)
    finally:
        clients.end()
    assert set(clients.statuses) == GOOD
    assert issuer.asked <= 3
    forged = TokenIssuer()
    forged.add_key("two")
    for token in (forged.token(), issuer.token({"aud": "another"}), issuer.token(header={"kid": "three"})):
        headers = {"Authorization": f"Bearer {token}"}
        assert httpx.get(f"{url}/api/appointments", headers=headers).status_code == 401
    logs = "".join(one.read_text("utf-8", "replace") for one in (stack.data / "logs").rglob("*.log"))
    assert "token refused" in logs
    assert token.split(".")[1] not in logs


@pytest.mark.alone
def test_a_key_is_rotated_and_revoked_under_load(stack: Stack) -> None:
    """No request with a valid key is refused, and none with a revoked one is accepted, whichever process."""
    url = str(stack.api.base_url)
    body = {"scopes": ["read", "write"], "rate_limit": 100_000, "label": "load"}
    made = stack.api.post("/api/keys", json=body).raise_for_status().json()
    old, path = made["key"], f"/api/keys/{made['key_id']}"
    assert len(old) == 45
    newest = [old]
    loads = [
        Clients(url, lambda: {"X-API-Key": old}),
        Clients(url, lambda: {"Authorization": f"Bearer {newest[0]}"}),
    ]
    try:
        for one in loads:
            one.wait_for(20)
        newest[0] = stack.api.post(f"{path}/rotate", json={}).raise_for_status().json()["key"]
        for one in loads:
            one.wait_for(40)
    finally:
        for one in loads:
            one.end()
    for one in loads:
        assert set(one.statuses) == GOOD
    assert stack.api.delete(path).status_code == 204
    for key in (old, *newest):
        headers = {"X-API-Key": key}
        for _ in range(15):
            assert stack.api.get("/api/appointments?limit=1", headers=headers).status_code == 401
            assert stack.api.post("/api/holds", json={}, headers=headers).status_code == 401
    assert stack.api.get(path).json()["state"] == "revoked"
    logs = "".join(one.read_text("utf-8", "replace") for one in (stack.data / "logs").rglob("*.log"))
    for secret in (old, *newest):
        assert secret[13:] not in logs
    assert KEY not in logs
