"""Which address a request is counted by: never one that a client chooses."""

from typing import Any

import pytest

from fairslot.access import client_address
from tests.support.environment import clear_caches, set_environment

PEER, VIEWER = "130.176.1.1", "203.0.113.9"


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A deployment behind CloudFront whose secret is being changed."""
    set_environment(monkeypatch, {"ADDRESS_SECRET": "one", "ORIGIN_SECRETS": "old-secret, new-secret"})
    client_address.clear_cache()
    yield
    monkeypatch.undo()
    clear_caches()


def digest(source: str = PEER, **headers: str) -> str:
    """Return what a request is counted by; the headers' names are written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client_address.digest_of({"requestContext": {"http": {"sourceIp": source}}, "headers": named})


@pytest.mark.parametrize("secret", ["old-secret", "new-secret"])
@pytest.mark.parametrize(
    "forwarded",
    [
        f"{VIEWER}, {PEER}",
        f"{VIEWER},{PEER}",
        f"198.51.100.1, 10.0.0.1, {VIEWER}, {PEER}",
        f"{PEER}, {VIEWER}, {PEER}",
        f"nonsense\x00,,{VIEWER},{PEER}",
        f"{VIEWER}",
    ],
)
def test_behind_cloudfront_it_is_what_cloudfront_says(secret: str, forwarded: str) -> None:
    """Whatever the client has put before it."""
    assert digest(x_origin_secret=secret, x_forwarded_for=forwarded) == digest(VIEWER)


@pytest.mark.parametrize(
    "secret", [None, "", ",", "old-secret, new-secret", "old-secre", "OLD-SECRET", "ключ", "\ud800"]
)
def test_without_the_proof_it_is_who_connects(secret: str | None) -> None:
    """No header chooses it: anybody can send one."""
    proof = {} if secret is None else {"x_origin_secret": secret}
    said = {
        "x_forwarded_for": f"{VIEWER}, {PEER}",
        "forwarded": f"for={VIEWER}",
        "x_real_ip": VIEWER,
        "cloudfront_viewer_address": f"{VIEWER}:1",
    }
    assert digest(**said, **proof) == digest(PEER) != digest(VIEWER)


def test_a_deployment_without_cloudfront_has_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty secret is nobody's."""
    set_environment(monkeypatch, {"ORIGIN_SECRETS": ""})
    for secret in ("", "old-secret"):
        assert digest(x_origin_secret=secret, x_forwarded_for=f"{VIEWER}, {PEER}") == digest(PEER)


@pytest.mark.parametrize("forwarded", ["", PEER, "not-an-address, " + PEER, f"{VIEWER}:80, {PEER}"])
def test_what_is_no_address_is_not_taken(forwarded: str) -> None:
    """Then it is who connects."""
    assert digest(x_origin_secret="old-secret", x_forwarded_for=forwarded) == digest(PEER)


def test_the_secrets_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them, wholly, also after one that fits."""
    compared: list[bytes] = []

    def noted(given: bytes, one: bytes) -> bool:
        compared.append(one)
        return given == one

    monkeypatch.setattr("fairslot.platform.edge_proof.hmac.compare_digest", noted)
    digest(x_origin_secret="old-secret", x_forwarded_for=VIEWER)
    assert compared == [b"old-secret", b"new-secret"]


def test_it_is_a_subscribers_network() -> None:
    """Of IPv6 64 bits; IPv4 within IPv6 is IPv4."""
    assert digest("2001:db8:1:2::1") == digest("2001:db8:1:2:ffff::9") != digest("2001:db8:1:3::1")
    assert digest("::ffff:192.0.2.1") == digest("192.0.2.1") != digest("192.0.2.2")
    assert digest("fe80::1%eth0") == digest("fe80::2")


def test_it_is_a_digest_with_the_deployments_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not have the secret cannot try all addresses; without the setting it is the process's own."""
    before = digest()
    assert len(before) == 32
    for secret in ("another", "s" * 500, ""):
        set_environment(monkeypatch, {"ADDRESS_SECRET": secret})
        client_address.clear_cache()
        assert digest() == digest() != before
