"""Who changed what, and forgetting a customer: `fairslot audit` and `fairslot forget`."""

import click

from cli import tables
from cli.connection import Context, Refused
from cli.context import part_of_path, show

_COLUMNS = ("at", "actor", "action", "resource", "resource_id", "method", "route", "request_id")


@click.command()
@click.option("--actor", metavar="ID", help="The id of a key or source, or a token's subject.")
@click.option("--resource", metavar="KIND", help="Such as appointment, coach, calendar or key.")
@click.option("--id", "resource_id", metavar="ID", help="The resource's id.")
@click.option("--since", metavar="INSTANT", help="As 2027-01-01T00:00:00Z.")
@click.option("--until", metavar="INSTANT", help="As 2027-01-01T00:00:00Z.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@click.pass_obj
def audit(of: Context, /, limit: int, **query: str | None) -> None:
    """List who changed what, the newest first; --json shows each resource before and after."""
    found = of.api.pages("/api/audit", limit, limit=min(limit, 200), **query)
    rows = [{**one, "actor": _name(one["actor"])} for one in found]
    show(of, found, lambda: tables.show_rows(rows, _COLUMNS))


def _name(actor: dict[str, str] | None) -> str | None:
    return None if actor is None else f"{actor['kind']} {actor['id']}"


@click.command()
@click.argument("email")
@click.option(
    "--appointments",
    type=click.Choice(["cancel"]),
    help="Cancel scheduled appointments to come.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def forget(of: Context, /, email: str, appointments: str | None, yes: bool) -> None:
    """Remove everything that is stored of a customer. It cannot be undone."""
    if not yes:
        click.confirm(f"Remove everything that is stored of {email}?", abort=True, err=True)
    try:
        answer = of.api.call(
            "DELETE",
            f"/api/contacts/{part_of_path(part_of_path(email))}",
            query={"appointments": appointments},
        )
    except Refused as refused:
        if of.as_json:
            tables.show_json(refused.problem)
        elif "plan" in refused.problem:
            columns = ("appointment_id", "calendar_id", "coach_id", "start_time")
            tables.show_rows(refused.problem["plan"]["appointments"], columns)
        raise
    show(of, answer, lambda: tables.show_members(answer))
