"""From a change in a coach's calendar to the slots, over the whole local stack, told by Google's stand-in.

    PYTHONPATH=functions:layers/common:. .venv/bin/python -m bench.pushes

Each coach has a calendar of a few events at the stand-in, which posts each change to the stack's gateway. The
time is from the request that adds an event until the database says that the slot is busy: notification,
queue, reading, queue, storing. One after another, and one a coach, as a second within ten seconds waits.
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.figures import Figure
from fairslot.coach_time import sync, watches
from fairslot.coach_time.days import extend_days
from fairslot.coach_time.fetch_requests import send_fetches
from fairslot.domain.slots import slot_of
from fairslot.platform import db, queue, signing_secrets
from fairslot.platform.settings import settings
from tests.support import stack as local_stack
from tests.support.google import CLIENT, GoogleAccount, GoogleStandIn, at, google
from tests.support.team import ALWAYS, TENANT, add_calendar, add_coach

COACHES = 45
FIRST = 5  # whose changes start processes and are not counted
EVENTS = 5
_SECONDS = 60.0
_LOOK_SECONDS = 0.005
_PROOF = "what proves notifications in a benchmark"
_FIRST = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=1)


def figures() -> Iterator[Figure]:
    """Measure changes."""
    took = sorted(measure())
    at_95 = took[int(len(took) * 0.95)]
    note = f"p50 {statistics.median(took):.2f} s, {len(took)} changes"
    yield Figure(name="a change that is told, to the slots, p95", value=at_95, unit="s", goal=1, note=note)


def measure() -> list[float]:
    """Return the seconds of each change."""
    with tempfile.TemporaryDirectory() as folder, google(Path(folder) / "google") as standin:
        variables = {
            "FAIRSLOT_DEMO": "none",
            "PUSH_SECRETS": _PROOF,
            "GOOGLE_CLIENT_ID": CLIENT.client_id,
            "GOOGLE_CLIENT_SECRET": CLIENT.client_secret,
            "GOOGLE_ACCOUNTS_URL": standin.base_url.removesuffix("/calendar/v3"),
            "GOOGLE_API_URL": standin.base_url,
        }
        with local_stack.running(Path(folder) / "stack", variables | local_stack.CALM) as running:
            _use(running.state)
            with db.connect(running.state["database_url"]) as connection:
                accounts = _connected(connection, standin)
                return [_change(connection, account) for account in accounts][FIRST:]


def _use(state: dict[str, Any]) -> None:
    """Let this process ask for calendars and channels as the schedule does."""
    account = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "test")
    os.environ.update(
        account,
        AWS_ENDPOINT_URL=state["sqs_endpoint"],
        AWS_DEFAULT_REGION="us-east-1",
        FETCHES_QUEUE_URL=state["queues"]["FetchesQueue"],
        PUSH_URL=state["gateway"],
        WEBHOOK_KMS_KEY_ID="alias/fairslot/local/webhooks",
    )
    settings.cache_clear()
    queue.clear_cache()
    signing_secrets.clear_cache()


def _connected(connection: db.Connection, standin: GoogleStandIn) -> Sequence[GoogleAccount]:
    """Return coaches' accounts, whose calendars were read and have a channel."""
    accounts = [standin.account() for _ in range(COACHES)]
    for number, account in enumerate(accounts):
        for hours in range(EVENTS):
            account.add(**at(_FIRST + timedelta(days=1, hours=2 * hours)))
        add_coach(connection, f"coach-{number}", time_zone="UTC", working_hours=ALWAYS)
        secret = json.dumps({"refresh_token": account.refresh_token})
        locked = signing_secrets.encrypt(secret, signing_secrets.for_calendar(account.source_id))
        connection.execute(
            "INSERT INTO calendar_sources (source_id, tenant_id, coach_id, kind, credentials)"
            " VALUES (%s, %s, %s, 'google', %s)",
            [account.source_id, TENANT, f"coach-{number}", locked],
        )
    add_calendar(connection, "cal", [f"coach-{number}" for number in range(COACHES)])
    extend_days(connection, now=datetime.now(UTC))
    for ask, done in ((sync.due, "synced_at"), (watches.due, "pushed_until")):
        _until_all(connection, ask, done)
    connection.execute("UPDATE calendar_sources SET requested_at = requested_at - interval '1 minute'")
    return accounts


def _until_all(connection: db.Connection, ask: Callable[..., Sequence[Any]], done: str) -> None:
    """Ask until a column of every source is set; what failed on a busy machine is asked again."""
    statement = f"SELECT count(*) AS n FROM calendar_sources WHERE {done} IS NULL"  # noqa: S608  # a name of ours
    deadline = time.monotonic() + _SECONDS
    while connection.execute(statement.encode()).fetchall()[0]["n"]:
        if time.monotonic() > deadline:
            errors = connection.execute("SELECT DISTINCT error FROM calendar_sources").fetchall()
            raise TimeoutError(f"{done} is not set: {errors}")
        send_fetches(ask(connection, now=datetime.now(UTC)))
        time.sleep(0.25)


def _change(connection: db.Connection, account: GoogleAccount) -> float:
    """Add an event, and return after how many seconds its slot is busy."""
    values = {"slot": slot_of(_FIRST), "source": account.source_id}
    statement = (
        b"SELECT substring(free FROM %(slot)s - first_slot + 1 FOR 1) = B'0' AS busy FROM source_answers"
        b" WHERE source_id = %(source)s"
    )
    begun = time.monotonic()
    account.add(**at(_FIRST))
    while not connection.execute(statement, values).fetchall()[0]["busy"]:
        if time.monotonic() > begun + _SECONDS:
            raise TimeoutError("the change was not seen")
        time.sleep(_LOOK_SECONDS)
    return time.monotonic() - begun


if __name__ == "__main__":
    for figure in figures():
        print(figure, figure.note)
