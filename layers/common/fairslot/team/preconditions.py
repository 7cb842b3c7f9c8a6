"""Entity tags of resources, and what a caller expects of one before it is changed (RFC 9110, 13.1)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fairslot.domain.errors import PreconditionFailedError
from fairslot.domain.json_written import write


def etag(resource: Mapping[str, Any]) -> str:
    """Return the strong entity tag of a resource as the API shows it, with its quotes."""
    return f'"{hashlib.sha256(write(resource, in_order=True).encode()).hexdigest()[:32]}"'


@dataclass(frozen=True, kw_only=True)
class Precondition:
    """What must hold of a resource.

    `tags`: it exists and has one of these tags, or any with `*`; None: whatever. `absent`: it does not exist.
    """

    tags: frozenset[str] | None = None
    absent: bool = False

    def check(self, known: Mapping[str, Any] | None) -> None:
        """Compare with the resource as it is, None where there is none.

        Raises:
            PreconditionFailedError: it is not as expected.

        """
        if self.absent and known is not None:
            raise PreconditionFailedError(
                "The resource exists already; leave `If-None-Match` out to replace it."
            )
        if self.tags is not None and (known is None or not self.tags & {"*", etag(known)}):
            raise PreconditionFailedError


ANY = Precondition()


def changed_members(known: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the members that differ from what is known."""
    return tuple(name for name, value in wanted.items() if known is None or known.get(name) != value)
