"""Addresses of endpoints from before they were written in one way."""

import psycopg
import pytest

from fairslot import db
from fairslot.addresses import Rules, canonical
from fairslot.migrate import migrate, migrations
from local.postgres import EmbeddedPostgres

NEW = "0024_addresses.sql"
RULES = Rules(https_ports=frozenset({443, 8443}), loopback=True)
KNOWN = [
    ("a", "https://EXAMPLE.com"),
    ("b", "https://Hooks.example.com.:00443/a?B=%2f#c"),
    ("c", "https://hooks.example.com:8443/A"),
    ("d", "http://127.0.0.1:80/"),
    ("e", "https://example.com:?x"),
    ("f", "https://[2606:4700:0::1111]:443/"),
]
TWICE = [
    ("t", "https://Twice.example.com"),
    ("t", "https://twice.example.com/"),
    ("t", "https://TWICE.example.com"),
]


@pytest.fixture
def url_before(postgres: EmbeddedPostgres) -> str:
    """A database as it was before."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS addresses_before")
        connection.execute("CREATE DATABASE addresses_before")
    url = postgres.url_of("addresses_before")
    migrate(url, [one for one in migrations() if one[0] < NEW])
    return url


def test_addresses_from_before_are_written_in_the_one_way(url_before: str) -> None:
    """But for what SQL cannot tell; where two were one, the second stays as it was and can be taken away."""
    with db.connect(url_before) as connection:
        for tenant, address in KNOWN + TWICE:
            connection.execute(
                "INSERT INTO webhook_endpoints (tenant_id, kind, url, event_types, secret)"
                " VALUES (%s, 'standard', %s, '{*}', 'ciphertext')",
                (tenant, address),
            )
    assert NEW in migrate(url_before)
    with db.connect(url_before) as connection:
        found = connection.execute("SELECT tenant_id, url FROM webhook_endpoints").fetchall()
    written = {(row["tenant_id"], row["url"]) for row in found}
    one_way = {(tenant, canonical(address, RULES)) for tenant, address in KNOWN}
    by_hand = {("b", "https://hooks.example.com/a?B=%2f"), KNOWN[-1]}
    assert written == {one for one in one_way if one[0] not in {"b", "f"}} | by_hand | set(TWICE)
