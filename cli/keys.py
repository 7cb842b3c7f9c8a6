"""API keys from a terminal: `fairslot keys`. A new key is printed once, and nothing else beside it."""

from typing import Any

import click

from cli import tables
from cli.connection import Context
from cli.context import part_of_path, show

_PATH = "/api/keys"
_COLUMNS = (
    "key_id",
    "label",
    "prefix",
    "scopes",
    "calendars",
    "rate_limit",
    "state",
    "last_used_at",
    "expires_at",
)
_SCOPES = click.Choice(["read", "write", "admin"])


@click.group()
def keys() -> None:
    """Make, list, rotate and revoke API keys."""


@keys.command("list")
@click.pass_obj
def list_keys(of: Context, /) -> None:
    """List API keys, the newest first."""
    found = of.api.pages(_PATH, limit=200)
    show(of, found, lambda: tables.show_rows(found, _COLUMNS))


@keys.command()
@click.argument("label")
@click.option("--scope", "scopes", type=_SCOPES, multiple=True, required=True, help="What it may do; repeat.")
@click.option("--calendar", "calendars", metavar="ID", multiple=True, help="What it may see; all without.")
@click.option("--rate-limit", type=click.IntRange(1), help="Requests a minute.")
@click.option("--expires-at", metavar="INSTANT", help="When it ends, as 2027-01-01T00:00:00Z.")
@click.pass_obj
def create(of: Context, /, label: str, **grant: Any) -> None:
    """Make an API key and print it, once."""
    body = {name: [*one] if isinstance(one, tuple) else one for name, one in grant.items() if one}
    _print(of, of.api.call("POST", _PATH, {"label": label, **body}))


@keys.command()
@click.argument("key_id")
@click.option("--overlap-hours", type=click.FloatRange(0, 168), help="How long the current key works too.")
@click.pass_obj
def rotate(of: Context, /, key_id: str, overlap_hours: float | None) -> None:
    """Replace an API key and print the new one, once. The current one works for another day."""
    body = {} if overlap_hours is None else {"overlap_hours": overlap_hours}
    _print(of, of.api.call("POST", f"{_PATH}/{part_of_path(key_id)}/rotate", body))


@keys.command()
@click.argument("key_id")
@click.pass_obj
def revoke(of: Context, /, key_id: str) -> None:
    """Revoke an API key at once."""
    of.api.call("DELETE", f"{_PATH}/{part_of_path(key_id)}")


def _print(of: Context, made: dict[str, Any]) -> None:
    """Print a new key alone, so that it can go into a file; its id goes to standard error."""
    if of.as_json:
        tables.show_json(made)
        return
    click.echo(made["key"])
    until = made["previous_key_until"]
    before = f"; the one before it works until {until}" if until else ""
    click.echo(f"{made['key_id']}; the key is not shown again{before}", err=True)
