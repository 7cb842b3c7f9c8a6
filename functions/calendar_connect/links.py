"""What the kinds have in common: a link that can be used, and credentials that are stored for it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from calendar_connect import inside, pages
from calendar_connect.pages import Page
from fairslot.messages.connections import Credentials, LinkAnswer, LinkQuestion
from fairslot.platform import connect_links, signing_secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link that can be used, and what for. `account` is whose calendar it was, if it was connected."""

    token: str
    kind: str
    source_id: UUID
    writes: bool
    calendar_ref: str | None
    url: str | None
    account: str | None

    def is_other(self, account: str | None) -> bool:
        """Return whether an account is another than the one that was connected before."""
        return self.account is not None and (account or "").casefold() != self.account.casefold()


def find(token: str) -> Link | Page:
    """Return the link of a token, or the page that says why there is none. Raises UnavailableError.

    The inside is not asked about a token that was not made here, so a flood of those costs it nothing.
    """
    if connect_links.read(token) is None:
        return pages.gone()
    answer = inside.ask(LinkQuestion(token=token))
    if answer.state != "open" or answer.source_id is None or answer.kind is None:
        return _why_not(answer)
    return Link(
        token=token,
        kind=answer.kind,
        source_id=answer.source_id,
        writes=bool(answer.writes),
        calendar_ref=answer.calendar_ref,
        url=answer.url,
        account=answer.account,
    )


def store(
    link: Link,
    members: Mapping[str, object],
    *,
    account: str | None,
    url: str | None = None,
    calendar_ref: str | None = None,
) -> Page | None:
    """Use the link for credentials, which leave here as ciphertext only; return why it could not be used.

    Raises UnavailableError; then the link was used, or not: opening it again tells.
    """
    ciphertext = signing_secrets.encrypt(json.dumps(members), signing_secrets.for_calendar(link.source_id))
    credentials = Credentials(ciphertext=ciphertext, account=account, url=url, calendar_ref=calendar_ref)
    answer = inside.ask(LinkQuestion(token=link.token, credentials=credentials))
    return None if answer.state == "open" else _why_not(answer)


def _why_not(answer: LinkAnswer) -> Page:
    if answer.state == "used":
        return pages.used()
    return pages.expired() if answer.state == "expired" else pages.gone()
