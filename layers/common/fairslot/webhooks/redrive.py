"""Deliveries whose messages ended in the dead-letter queue: noted as failed, and sent again on demand.

`python -m fairslot.webhooks.redrive` sends them again with the environment's database and queues,
`make redrive` with the local stack's; deployed, the maintenance function does it for the event
{"task": "redrive"}. See docs/runbooks/dead-letters.md.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from aws_lambda_powertools.metrics import MetricUnit

from fairslot.domain.errors import ConflictError
from fairslot.domain.idempotency import NO_KEY
from fairslot.platform import db, dead_letters
from fairslot.platform.db import Connection
from fairslot.platform.observability import metrics
from fairslot.platform.settings import settings
from fairslot.webhooks import deliveries, publishing

LIMIT = 2_000
_MOST_ROUNDS = 1_000_000
_NEEDED = ("database_url", "deliveries_queue_url", "deliveries_dead_letter_queue_url")
_AGAIN = "About {} dead letters are hidden, as somebody else reads them: run this again in {} minutes.\n"


@dataclass
class Tally:
    """What became of the letters: failed anew, settled and so taken away, sent again, left as they are.

    `hidden`: about how many nobody can see at the moment, since another reader has them.
    """

    buried: int = 0
    settled: int = 0
    sent: int = 0
    left: int = 0
    hidden: int = 0


@dataclass
class Sorted:
    """A batch of letters by what their deliveries have come to."""

    settled: list[str] = field(default_factory=list)
    failed: list[tuple[UUID, str]] = field(default_factory=list)
    unknown: int = 0


def mark_dead_letters_failed(*, now: datetime, deadline: float | None = None) -> dict[str, int]:
    """Mark pending deliveries whose messages were set aside as failed, with the reason `dead_letter`.

    Their messages stay. Those of deliveries that are over otherwise are taken away, so that the queue holds
    what failed and nothing else. `deadline` is the instant of the monotonic clock at which to end.
    """
    return _through(now=now, again=False, deadline=deadline)


def redrive(*, now: datetime, deadline: float | None = None) -> dict[str, int]:
    """Begin another round of every delivery in the dead-letter queue and take its message away.

    What is sent is made anew, with the endpoint's address and secrets as they are now. Messages stay that
    nobody can read, that belong to no delivery, or whose endpoint is turned off. `deadline` as for bury().
    """
    return _through(now=now, again=True, deadline=deadline)


def _through(*, now: datetime, again: bool, deadline: float | None) -> dict[str, int]:
    url, tally = settings().deliveries_dead_letter_queue_url, Tally()
    if url:
        with dead_letters.Reading(url) as reading:
            for letters in reading.batches(limit=LIMIT, until=deadline):
                found = db.run(partial(_sort, letters=letters, now=now, tally=tally))
                done = found.settled
                if again:
                    done += _send(found, now, tally)
                else:
                    tally.left += len(found.failed)
                tally.left += found.unknown
                reading.delete(done)
            tally.hidden = reading.hidden_elsewhere()
    metrics.add_metric(name="DeadLettersBuried", unit=MetricUnit.Count, value=tally.buried)
    return asdict(tally)


def _sort(
    connection: Connection, letters: Sequence[dead_letters.DeadLetter], now: datetime, tally: Tally
) -> Sorted:
    named = {letter.handle: _name(letter.body) for letter in letters}
    known = [one for one in named.values() if one is not None]
    tally.buried += deliveries.mark_dead_letters_failed(connection, letters=known, now=now)
    states = deliveries.states(connection, delivery_ids=[delivery_id for delivery_id, _ in known])
    found = Sorted()
    for handle, name in named.items():
        state = states.get(name[0]) if name else None
        if name is None or state is None:
            found.unknown += 1
        elif state == ("failed", name[1]) and name[0] not in {one for one, _ in found.failed}:
            found.failed.append((name[0], handle))
        else:
            found.settled.append(handle)
            tally.settled += 1
    return found


def _send(found: Sorted, now: datetime, tally: Tally) -> list[str]:
    """Send deliveries again; return the handles of their letters, which are no longer needed."""
    done: list[str] = []
    messages: list[dict[str, Any]] = []
    for delivery_id, handle in found.failed:
        replay = partial(deliveries.replay, tenant_id=None, delivery_id=delivery_id, key=NO_KEY, now=now)
        try:
            messages += db.run(replay).messages
        except ConflictError:
            tally.left += 1
        else:
            done.append(handle)
    tally.sent += len(done)
    # What the queue does not take now the sweep sends: the round has begun.
    publishing.publish(messages)
    return done


def _name(body: str) -> tuple[UUID, int] | None:
    """Return which delivery and round a message is of; None where it cannot be read."""
    try:
        message = json.loads(body)
        number = message.get("round", 1)
        return (UUID(message["delivery_id"]), number) if number in range(1, _MOST_ROUNDS) else None
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None


def main() -> None:
    """Send everything in the environment's dead-letter queue again and say what was done.

    Raises:
        SystemExit: the environment does not say where the database or the queues are.

    """
    given = settings().model_dump()
    missing = [name.upper() for name in _NEEDED if not given[name]]
    if missing:
        sys.exit(f"nothing was done: {', '.join(missing)} must be set; `make redrive` is for the local stack")
    done = redrive(now=datetime.now(UTC))
    db.close()
    sys.stdout.write(", ".join(f"{name} {number}" for name, number in done.items()) + "\n")
    if done["hidden"]:
        sys.stderr.write(_AGAIN.format(done["hidden"], dead_letters.HIDE_SECONDS // 60))


if __name__ == "__main__":
    main()
