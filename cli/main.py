"""The command line: what can be asked and set.

FAIRSLOT_URL and FAIRSLOT_KEY say where the API is, or a profile does. Exit codes: 0 done, 1 refused by the
API, 2 wrong use, 3 no usable answer.
"""

import json
from pathlib import Path
from typing import Any

import click

from cli import ledger, tables, team_file
from cli.connection import NO_ANSWER, Context, Refused
from cli.context import part_of_path as _id
from cli.context import show as _show
from cli.keys import keys
from cli.privacy import audit, forget

_CHOICE = click.Choice(["reassign", "cancel", "keep"])
_dry_run = click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
_appointments = click.option(
    "--appointments", type=_CHOICE, help="What becomes of appointments that no longer fit."
)
_of = click.pass_obj


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 refused by the API, 2 wrong use, 3 no usable answer.",
)
@click.option("--profile", envvar="FAIRSLOT_PROFILE", metavar="NAME", help="A table of profiles.toml.")
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer, for scripts.")
@click.pass_context
def main(context: click.Context, /, profile: str | None, as_json: bool) -> None:
    """Fairslot: teams of coaches and their bookings.

    FAIRSLOT_URL (http://127.0.0.1:3000) and FAIRSLOT_KEY say where the API is, or a profile does:
    a table with `url` and `key` in ~/.config/fairslot/profiles.toml (FAIRSLOT_PROFILES).
    """
    context.obj = Context(profile, as_json)


@main.command()
@_of
@click.pass_context
def status(context: click.Context, of: Context) -> None:
    """Show whether bookings can be taken; exit code 3 if not."""
    health = of.api.call("GET", "/health", accept=(503,))
    _show(of, health, lambda: tables.show_members(health))
    if health["status"] == "down":
        context.exit(NO_ANSWER)


@main.command()
@click.argument("appointment_id")
@_of
def why(of: Context, /, appointment_id: str) -> None:
    """Show why an appointment went to its coach, as things were when that was decided."""
    decision = of.api.call("GET", f"/api/appointments/{_id(appointment_id)}/decision")

    def show() -> None:
        tables.console.print(decision["reason"])
        if decision["kind"] != "normal":
            tables.console.print(f"shares and credits of the kind of hour: {decision['kind']} (as of then)")
        columns = ["coach_id", "eligible", "excluded_reason", "weight", "share", "credit_before"]
        if decision["requires"]:
            rules = ", ".join(f"{one['attribute']} (the {one['rule']})" for one in decision["requires"])
            tables.console.print(f"required: {rules}")
            columns.append("missing")
            for one in decision["candidates"]:
                one["missing"] = [rule["attribute"] for rule in one["missing"]]
        tables.show_rows(decision["candidates"], columns)

    _show(of, decision, show)


@main.command()
@click.option("--status", type=click.Choice(["pending", "delivered", "failed", "cancelled"]))
@click.option("--appointment", "appointment_id", metavar="ID")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@_of
def deliveries(of: Context, /, status: str | None, appointment_id: str | None, limit: int) -> None:
    """List what was sent, the newest first."""
    query = {"status": status, "appointment_id": appointment_id}
    found = of.api.pages("/api/deliveries", limit, limit=min(limit, 200), **query)
    for one in found:
        one["tries"] = len(one["attempts"])
    columns = ("delivery_id", "event_type", "appointment_id", "status", "reason", "tries", "next_attempt_at")
    _show(of, found, lambda: tables.show_rows(found, columns))


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--prune", is_flag=True, help="Delete the coaches and calendars that are not in the file.")
@_dry_run
@_appointments
@_of
def apply(of: Context, /, file: Path, prune: bool, dry_run: bool, appointments: str | None) -> None:
    """Make the team as FILE says (YAML or JSON), in one transaction. The same file again changes nothing."""
    team = team_file.TeamFile.read(file)
    try:
        query = {"prune": prune, "dry_run": dry_run, "appointments": appointments}
        plan = of.api.call("POST", "/api/apply", team.document, query=query)
    except Refused as refused:
        _show_plan_of(of, refused)
        raise Refused(refused.problem, place=team.place) from refused
    _show(of, plan, lambda: tables.show_plan(plan, made=not dry_run))


@main.command()
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="A file to write to.")
@_of
def export(of: Context, /, output: Path | None) -> None:
    """Write the team that there is as a document (YAML) that `apply` reads."""
    document = of.api.call("GET", "/api/export")
    text = json.dumps(document, indent=2) + "\n" if of.as_json else team_file.write(document)
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, "utf-8")


@main.group()
def coaches() -> None:
    """Coaches: list, show, set, delete."""


@main.group()
def calendars() -> None:
    """Calendars: list, show, set, delete, and their teams."""


@coaches.command("list")
@click.option("--calendar", "calendar_id", metavar="ID", help="Those of a calendar's team.")
@_of
def list_coaches(of: Context, /, calendar_id: str | None) -> None:
    """List coaches."""
    found = of.api.pages("/api/coaches", limit=200, calendar_id=calendar_id)
    columns = ("coach_id", "name", "time_zone", "active", "limits.per_day", "score")
    _show(of, found, lambda: tables.show_rows(found, columns))


@coaches.command("sources")
@click.argument("coach_id")
@_of
def list_sources(of: Context, /, coach_id: str) -> None:
    """List a coach's external calendars, and how each goes."""
    found = of.api.call("GET", f"/api/coaches/{_id(coach_id)}/sources")["data"]
    columns = ("source_id", "kind", "url", "calendar_ref", "reads", "writes", "state", "synced_at", "error")
    _show(of, found, lambda: tables.show_rows(found, columns))


@calendars.command("list")
@click.option("--coach", "coach_id", metavar="ID", help="Those in whose team a coach is.")
@_of
def list_calendars(of: Context, /, coach_id: str | None) -> None:
    """List calendars."""
    found = of.api.pages("/api/calendars", limit=200, coach_id=coach_id)
    columns = ("calendar_id", "name", "slug", "slot_duration", "policy", "active")
    _show(of, found, lambda: tables.show_rows(found, columns))


@calendars.command("team")
@click.argument("calendar_id")
@_of
def list_team(of: Context, /, calendar_id: str) -> None:
    """List a calendar's team."""
    found = of.api.pages(f"/api/calendars/{_id(calendar_id)}/coaches", limit=200)
    _show(of, found, lambda: tables.show_rows(found, ("coach_id", "weight")))


def _add_commands(group: click.Group, path: str) -> None:
    """Give a group what coaches and calendars have in common."""

    @group.command("show")
    @click.argument("resource_id", metavar="ID")
    @_of
    def show(of: Context, /, resource_id: str) -> None:
        """Show everything that is set."""
        found = of.api.call("GET", f"{path}/{_id(resource_id)}")
        _show(of, found, lambda: tables.show_members(found))

    @group.command("set")
    @click.argument("resource_id", metavar="ID")
    @click.argument("members")
    @_dry_run
    @_appointments
    @_of
    def set_members(of: Context, /, resource_id: str, members: str, **query: Any) -> None:
        """Change members, given as JSON such as '{"active": false}'; null removes one."""
        try:
            patch = json.loads(members)
        except ValueError as error:
            raise click.BadParameter(f"not JSON: {error}", param_hint="MEMBERS") from error
        _change(of, "PATCH", f"{path}/{_id(resource_id)}", patch, query)

    @group.command("delete")
    @click.argument("resource_id", metavar="ID")
    @_dry_run
    @_appointments
    @_of
    def delete(of: Context, /, resource_id: str, **query: Any) -> None:
        """Delete one; what was booked and decided stays on record."""
        _change(of, "DELETE", f"{path}/{_id(resource_id)}", None, query)


def _change(of: Context, method: str, path: str, body: object, query: dict[str, Any]) -> None:
    try:
        answer = of.api.call(method, path, body, query=query)
    except Refused as refused:
        _show_plan_of(of, refused)
        raise
    if query["dry_run"]:
        _show(of, answer, lambda: tables.show_plan(answer, made=False))
    elif answer is not None:
        _show(of, answer, lambda: tables.show_members(answer))


def _show_plan_of(of: Context, refused: Refused) -> None:
    """Show a refused change: for scripts the problem as it came, for people the plan in it."""
    if of.as_json:
        tables.show_json(refused.problem)
    elif "plan" in refused.problem:
        tables.show_plan(refused.problem["plan"], made=False)


main.add_command(ledger.replay)
main.add_command(ledger.adjust)
_add_commands(coaches, "/api/coaches")
_add_commands(calendars, "/api/calendars")
for _one in (keys, audit, forget):
    main.add_command(_one)
