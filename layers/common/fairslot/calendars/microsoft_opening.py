"""From what is stored of a source at Microsoft to its calendar: a coach consented, or an organization did."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from fairslot.calendars.access_tokens import SourceToken
from fairslot.calendars.credentials import decrypted, text_of
from fairslot.calendars.interface import CalendarError, ExternalCalendar
from fairslot.calendars.microsoft import BASE_URL, MicrosoftCalendar
from fairslot.calendars.microsoft_application import Application, Certificate
from fairslot.calendars.microsoft_schedule import MicrosoftSchedule
from fairslot.calendars.microsoft_subscriptions import MicrosoftSubscriptions
from fairslot.calendars.oauth import Client, OAuth, Provider, microsoft
from fairslot.calendars.push_secret import PushSecrets
from fairslot.platform.settings import settings

# Only the operator can mend what the deployment lacks.
_OPERATOR_SECONDS = 3_600.0
# Tenants that are no organization.
_ANYBODY = {"common", "organizations", "consumers"}
_BASIC = "calendars.readbasic"


@dataclass(frozen=True, slots=True, kw_only=True)
class MicrosoftAccess:
    """A source's access to one calendar at Microsoft.

    `mailbox` is whose an application opens; a coach's own token opens the coach's. `address` is whose free
    and busy times are asked for where no events may be read.
    """

    source_id: UUID
    zone: ZoneInfo
    token: SourceToken
    mailbox: str | None = None
    calendar_id: str | None = None
    address: str | None = None

    @property
    def reading(self) -> ExternalCalendar:
        """What is read: the calendar, or free and busy times alone."""
        if self.address is None:
            return self.calendar
        return MicrosoftSchedule(
            token=self.token,
            address=self.address,
            app_only=self.mailbox is not None,
            base_url=_api_url(),
        )

    @property
    def calendar(self) -> MicrosoftCalendar:
        """The calendar, to read it and to write to it."""
        return MicrosoftCalendar(
            token=self.token,
            source_id=self.source_id,
            zone=self.zone,
            mailbox=self.mailbox,
            calendar_id=self.calendar_id,
            base_url=_api_url(),
        )

    def subscriptions(self, secrets: PushSecrets) -> MicrosoftSubscriptions:
        """Return what makes the subscriptions to the calendar."""
        return MicrosoftSubscriptions(
            token=self.token,
            secrets=secrets,
            mailbox=self.mailbox,
            calendar_id=self.calendar_id,
            base_url=_api_url(),
        )


async def open_microsoft(
    *, calendar_ref: str | None, credentials: str | None, source_id: UUID, zone: ZoneInfo
) -> MicrosoftAccess:
    """Return a source's access. Raises CalendarError.

    `credentials` are ciphertext of {"refresh_token", "scopes", "tenant"?}, as a coach's consent gives them,
    or of {"tenant", "user", "certificate"?, "scopes"?}: an organization that lets the application into the
    mailbox of a user, whom an address names; the certificate is a PEM with its key, and without one the
    deployment's secret is used. A source without any is of the deployment's organization, where there is one,
    and `calendar_ref` is the address; else that is the calendar, the default one where it is None.
    """
    known = settings()
    if not credentials and known.microsoft_tenant not in _ANYBODY and known.microsoft_client_id:
        members: Mapping[str, Any] = {"tenant": known.microsoft_tenant, "user": calendar_ref}
        return _organized(members, None, source_id, zone)
    members = await decrypted(credentials, source_id)
    if "user" in members and "refresh_token" not in members:
        return _organized(members, calendar_ref, source_id, zone)
    return _consented(members, calendar_ref, source_id, zone)


def microsoft_provider(tenant: str) -> Provider:
    """Return the OAuth endpoints of a tenant, or those of the stand-in that the settings name."""
    provider, elsewhere = microsoft(tenant), settings().microsoft_accounts_url
    return provider.at(elsewhere) if elsewhere else provider


def _consented(
    members: Mapping[str, Any], calendar_ref: str | None, source_id: UUID, zone: ZoneInfo
) -> MicrosoftAccess:
    known = settings()
    if not known.microsoft_client_id or not known.microsoft_client_secret:
        raise CalendarError("unauthorized", after=_OPERATOR_SECONDS)
    client = Client(client_id=known.microsoft_client_id, client_secret=known.microsoft_client_secret)
    oauth = OAuth(microsoft_provider(members.get("tenant") or known.microsoft_tenant), client)
    refresh_token = text_of(members, "refresh_token")
    is_basic = _is_basic(members.get("scopes"))
    return MicrosoftAccess(
        source_id=source_id,
        zone=zone,
        token=SourceToken(source_id=source_id, refresh_token=refresh_token, refresh=oauth.refresh),
        calendar_id=None if is_basic else calendar_ref,
        # getSchedule asks by an address, also of the coach's own mailbox.
        address=_address(calendar_ref or members.get("user")) if is_basic else None,
    )


def _organized(
    members: Mapping[str, Any], calendar_ref: str | None, source_id: UUID, zone: ZoneInfo
) -> MicrosoftAccess:
    known = settings()
    mailbox = _address(members.get("user"))
    certificate = _certificate(members.get("certificate"))
    if not known.microsoft_client_id or not (certificate or known.microsoft_client_secret):
        raise CalendarError("unauthorized", after=_OPERATOR_SECONDS)
    application = Application(
        provider=microsoft_provider(text_of(members, "tenant")),
        client_id=known.microsoft_client_id,
        client_secret=None if certificate else known.microsoft_client_secret,
        certificate=certificate,
    )
    return MicrosoftAccess(
        source_id=source_id,
        zone=zone,
        token=application.token(),
        mailbox=mailbox,
        calendar_id=calendar_ref,
        address=mailbox if _is_basic(members.get("scopes")) else None,
    )


def _address(given: object) -> str:
    """Return an address. Raises CalendarError: without one nobody's calendar is meant."""
    if not isinstance(given, str) or "@" not in given:
        raise CalendarError("not_found", ended="unsupported")
    return given


def _certificate(given: object) -> Certificate | None:
    try:
        return Certificate.from_pem(given) if isinstance(given, str) else None
    except ValueError:
        raise CalendarError("unauthorized", after=_OPERATOR_SECONDS) from None


def _is_basic(scopes: object) -> bool:
    """Tell whether the scopes allow free and busy times, and no events with their properties."""
    given = scopes.split() if isinstance(scopes, str) else scopes
    granted = [str(one) for one in given] if isinstance(given, list) else []
    of_calendars = {one.rpartition("/")[2].lower().removesuffix(".all") for one in granted}
    return _BASIC in of_calendars and not of_calendars & {"calendars.read", "calendars.readwrite"}


def _api_url() -> str:
    return settings().microsoft_api_url or BASE_URL
