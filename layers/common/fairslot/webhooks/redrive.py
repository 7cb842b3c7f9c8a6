"""Dead letters of the deliveries queue: mark their deliveries as failed, and redrive them on demand.

`python -m fairslot.webhooks.redrive` redrives them with the environment's database and queues, `make redrive`
those of the local stack; deployed, the maintenance function does it for the event {"task": "redrive"}. See
docs/runbooks/dead-letters.md.
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
from fairslot.platform import db
from fairslot.platform.db import Connection
from fairslot.platform.observability import metrics
from fairslot.platform.queue import HIDE_SECONDS, DeadLetter, DeadLetterReader
from fairslot.platform.settings import settings
from fairslot.webhooks import deliveries, publishing

LIMIT = 2_000
_MOST_ROUNDS = 1_000_000
_NEEDED = ("database_url", "deliveries_queue_url", "deliveries_dead_letter_queue_url")
_HIDDEN = "About {} dead letters are hidden by another reader: run this again in {} minutes.\n"


@dataclass
class Tally:
    """How many deliveries were marked as failed; how many messages were deleted, sent again and left.

    `hidden`: about how many messages other readers have at the moment.
    """

    failed: int = 0
    settled: int = 0
    sent: int = 0
    left: int = 0
    hidden: int = 0


@dataclass
class Sorted:
    """A batch of dead letters by the state of their deliveries; `settled` are receipt handles."""

    settled: list[str] = field(default_factory=list)
    failed: list[tuple[UUID, str]] = field(default_factory=list)
    unknown: int = 0


def mark_dead_letters_failed(*, now: datetime, deadline: float | None = None) -> dict[str, int]:
    """Mark pending deliveries whose messages are dead letters as failed, with the reason `dead_letter`.

    Their messages stay. Messages of deliveries that ended otherwise are deleted, so that the queue holds
    failed deliveries and nothing else. `deadline` is an instant of the monotonic clock at which to end.
    """
    return _read_all(now=now, redrives=False, deadline=deadline)


def redrive(*, now: datetime, deadline: float | None = None) -> dict[str, int]:
    """Begin another round of every delivery in the dead-letter queue and delete its message.

    The new message has the endpoint's address and secrets of now. Messages stay that cannot be read, that
    belong to no delivery, or whose endpoint is disabled. `deadline` as for mark_dead_letters_failed.
    """
    return _read_all(now=now, redrives=True, deadline=deadline)


def _read_all(*, now: datetime, redrives: bool, deadline: float | None) -> dict[str, int]:
    url, tally = settings().deliveries_dead_letter_queue_url, Tally()
    if url:
        with DeadLetterReader(url) as reader:
            for batch in reader.batches(limit=LIMIT, until=deadline):
                found = db.run(partial(_sort, dead_letters=batch, now=now, tally=tally))
                done = found.settled
                if redrives:
                    done += _send(found, now, tally)
                else:
                    tally.left += len(found.failed)
                tally.left += found.unknown
                reader.delete(done)
            tally.hidden = reader.hidden_elsewhere()
    metrics.add_metric(name="DeadLettersBuried", unit=MetricUnit.Count, value=tally.failed)
    return asdict(tally)


def _sort(connection: Connection, dead_letters: Sequence[DeadLetter], now: datetime, tally: Tally) -> Sorted:
    rounds = {one.handle: _round(one.body) for one in dead_letters}
    known = [one for one in rounds.values() if one is not None]
    tally.failed += deliveries.mark_dead_letters_failed(connection, rounds=known, now=now)
    states = deliveries.states(connection, delivery_ids=[delivery_id for delivery_id, _ in known])
    found = Sorted()
    for handle, one in rounds.items():
        state = states.get(one[0]) if one else None
        if one is None or state is None:
            found.unknown += 1
        elif state == ("failed", one[1]) and one[0] not in {delivery_id for delivery_id, _ in found.failed}:
            found.failed.append((one[0], handle))
        else:
            found.settled.append(handle)
            tally.settled += 1
    return found


def _send(found: Sorted, now: datetime, tally: Tally) -> list[str]:
    """Begin another round of failed deliveries; return the handles of the messages to delete."""
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


def _round(body: str) -> tuple[UUID, int] | None:
    """Return the delivery and the round of a message; None where it cannot be read."""
    try:
        message = json.loads(body)
        number = message.get("round", 1)
        return (UUID(message["delivery_id"]), number) if number in range(1, _MOST_ROUNDS) else None
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None


def main() -> None:
    """Redrive the environment's dead-letter queue and print the tally.

    Raises:
        SystemExit: the environment does not name the database or the queues.

    """
    given = settings().model_dump()
    missing = [name.upper() for name in _NEEDED if not given[name]]
    if missing:
        sys.exit(f"nothing was done: set {', '.join(missing)}; for the local stack use `make redrive`")
    done = redrive(now=datetime.now(UTC))
    db.close()
    sys.stdout.write(", ".join(f"{name} {number}" for name, number in done.items()) + "\n")
    if done["hidden"]:
        sys.stderr.write(_HIDDEN.format(done["hidden"], HIDE_SECONDS // 60))


if __name__ == "__main__":
    main()
