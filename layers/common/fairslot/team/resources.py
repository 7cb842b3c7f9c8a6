"""What the resources of a team have in common: each is found by its id, put, patched and deleted."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from fairslot.domain.errors import NotFoundError
from fairslot.domain.idempotency import ChangeResult
from fairslot.platform.db import Connection
from fairslot.team import changes
from fairslot.team.changes import ChangeRequest, Json, Step

type Settings = Mapping[str, Any]


class Resource(ABC):
    """One resource by its id; each kind says how it is found and set.

    Settings are as the API shows them, without the id. `missing` says that there is none. For the answers
    and the errors of changes see changes.make.
    """

    missing: ClassVar[str]

    @abstractmethod
    def find(self, connection: Connection, *, tenant_id: str) -> Json | None:
        """Return the resource as the API shows it, None if the tenant has no such one."""

    @abstractmethod
    def put_steps(
        self, connection: Connection, *, tenant_id: str, known: Json | None, settings: Settings, now: datetime
    ) -> list[Step]:
        """Return what makes the settings these; nothing if `known` has them."""

    def tagged(self, found: Json) -> Json:
        """Return what of the resource its entity tag is of."""
        return found

    def get(self, connection: Connection, *, tenant_id: str) -> Json:
        """Return the resource. Raises NotFoundError."""
        return self._known(self.find(connection, tenant_id=tenant_id))

    def put(self, connection: Connection, settings: Settings, asked: ChangeRequest) -> ChangeResult:
        """Create the resource, or replace its settings.

        Raises:
            PreconditionFailedError: it is not as expected.
            NotFoundError: the id cannot be used, or a part of it names what is not there.

        """
        return self._set(connection, lambda _: settings, asked)

    def patch(
        self, connection: Connection, edit: Callable[[Json], Settings], asked: ChangeRequest
    ) -> ChangeResult:
        """Replace the settings by what `edit` makes of the resource as it is. Errors are those of put.

        Raises:
            NotFoundError: there is no such resource.

        """
        return self._set(connection, lambda known: edit(self._known(known)), asked)

    def _set(
        self, connection: Connection, edit: Callable[[Json | None], Settings], asked: ChangeRequest
    ) -> ChangeResult:
        def steps() -> Sequence[Step]:
            known = self.find(connection, tenant_id=asked.tenant_id)
            settings = edit(known)
            asked.precondition.check(None if known is None else self.tagged(known))
            return self.put_steps(
                connection, tenant_id=asked.tenant_id, known=known, settings=settings, now=asked.now
            )

        return changes.make(
            connection, asked, steps=steps, read=lambda: self.get(connection, tenant_id=asked.tenant_id)
        )

    def _known(self, found: Json | None) -> Json:
        if found is None:
            raise NotFoundError(self.missing)
        return found


class DeletableResource(Resource):
    """A resource that does not stay for ever; each kind says how it is deleted."""

    @abstractmethod
    def delete_steps(self, connection: Connection, *, tenant_id: str, now: datetime) -> list[Step]:
        """Return what deletes the resource, with what has to go before it."""

    def delete(self, connection: Connection, asked: ChangeRequest) -> ChangeResult:
        """Delete the resource.

        Raises:
            NotFoundError: there is no such resource.
            PreconditionFailedError: it is not as expected.

        """

        def steps() -> Sequence[Step]:
            asked.precondition.check(self.tagged(self.get(connection, tenant_id=asked.tenant_id)))
            return self.delete_steps(connection, tenant_id=asked.tenant_id, now=asked.now)

        return changes.make(connection, asked, steps=steps, read=lambda: None)
