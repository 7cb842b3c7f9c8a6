"""What the audit says of a change of a team."""

from typing import TYPE_CHECKING, Any, Protocol

from fairslot.platform.audit import Entry
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries

if TYPE_CHECKING:
    from collections.abc import Sequence

type Json = dict[str, Any]

_KINDS = ("coach", "calendar", "member", "absence", "adjustment", "source")
_ACTIONS = {"create": "created", "update": "updated", "delete": "deleted"}
_SQL = queries("team_changes")


class Step(Protocol):
    """What is read of a step of a change."""

    @property
    def resource(self) -> str:
        """The kind of resource."""

    @property
    def id(self) -> str:
        """The resource's id."""

    @property
    def action(self) -> str:
        """Create, update or delete."""


class Audited:
    """What the audit says of the steps of a change: each resource before and after, by two statements."""

    def __init__(self, connection: Connection, tenant_id: str) -> None:
        self._connection, self._tenant_id = connection, tenant_id
        self._steps: Sequence[Step] = ()
        self._before: dict[tuple[str, str], Json] = {}

    def begin(self, steps: "Sequence[Step]") -> None:
        """Read what the steps are about to change."""
        self._steps, self._before = steps, self._read(steps)

    def entries(self) -> list[Entry]:
        """Return an entry a step; what they changed is read now."""
        after = self._read(self._steps)
        return [
            Entry(
                resource=one.resource,
                resource_id=one.id,
                action=_ACTIONS[one.action],
                before=self._before.get((one.resource, one.id)),
                after=after.get((one.resource, one.id)),
            )
            for one in self._steps
        ]

    def _read(self, steps: "Sequence[Step]") -> dict[tuple[str, str], Json]:
        if not steps:
            return {}
        ids = {kind: [step.id for step in steps if step.resource == kind] for kind in _KINDS}
        rows = self._connection.execute(_SQL["images"], {"tenant": self._tenant_id, **ids})
        return {(row["resource"], row["id"]): row["image"] for row in rows}
