"""Tokens on the whole stack: an issuer over HTTP whose keys change while customers come."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.stack import Stack, running, wait_until
from tests.support.token_issuer import TokenIssuer, published

CLIENTS = 3


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
    with running(tmp_path / "data", {"TOKEN_ISSUERS": json.dumps(setting)}) as made:
        yield made


class Clients:
    """Clients who come with a new token each time, and what they were answered."""

    def __init__(self, url: str, issuer: TokenIssuer) -> None:
        self._url = url
        self._issuer = issuer
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._work) for _ in range(CLIENTS)]
        self.statuses: list[int] = []
        for one in self._threads:
            one.start()

    def _work(self) -> None:
        with httpx.Client(base_url=self._url, timeout=30) as client:
            while not self._ended.is_set():
                headers = {"Authorization": f"Bearer {self._issuer.token()}"}
                answer = client.get("/api/appointments", params={"limit": 1}, headers=headers)
                self.statuses.append(answer.status_code)

    def has_come(self, times: int) -> bool:
        """Tell whether so many answers have come."""
        return len(self.statuses) >= times

    def end(self) -> None:
        """Wait for the last answers."""
        self._ended.set()
        for one in self._threads:
            one.join()


@pytest.mark.alone
def test_an_issuer_s_key_is_rotated_under_load(stack: Stack, issuer: TokenIssuer) -> None:
    """Its tokens open the API with no key of ours, and no good request is refused while its key changes."""
    url = str(stack.api.base_url)
    wait_until(lambda: issuer.asked > 0, 30, "the schedule has the keys read")
    clients = Clients(url, issuer)
    try:
        wait_until(lambda: clients.has_come(20), 30, "tokens are accepted")
        issuer.add_key("two")  # signs at once, and nobody was told
        came = len(clients.statuses)
        wait_until(lambda: clients.has_come(came + 40), 30, "tokens of the new key are accepted")
    finally:
        clients.end()
    assert set(clients.statuses) == {200}
    assert issuer.asked <= 3
    forged = TokenIssuer()
    forged.add_key("two")
    for token in (forged.token(), issuer.token({"aud": "another"}), issuer.token(header={"kid": "three"})):
        headers = {"Authorization": f"Bearer {token}"}
        assert httpx.get(f"{url}/api/appointments", headers=headers).status_code == 401
    logs = "".join(one.read_text("utf-8", "replace") for one in (stack.data / "logs").rglob("*.log"))
    assert "token refused" in logs
    assert token.split(".")[1] not in logs
