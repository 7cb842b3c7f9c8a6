"""The settings, read from the environment on first use."""

import os
from functools import cache
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Every setting, named as its environment variable in lower case.

    Addresses are URLs; without its address a partner is not used. Durations carry their unit in the name.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    database_url: str = ""
    # iam: the password is a token that is signed here for each connection.
    database_auth: Literal["password", "iam"] = "password"
    redis_url: str = ""
    # user@cache: who connects to which cache by IAM; empty: with what the URL says.
    redis_iam: str = Field("", pattern=r"^([^@]+@[^@]+)?$")
    auth_service_url: str = ""
    calendar_api_url: str = ""
    crm_webhook_url: str = ""

    deliveries_queue_url: str = ""
    deliveries_dead_letter_queue_url: str = ""
    results_queue_url: str = ""
    fetches_queue_url: str = ""
    fetched_queue_url: str = ""

    # Where providers of calendars reach this deployment with notifications; empty: none is asked for any.
    push_url: str = ""
    # What proves that they sent them; two, with a comma between, while they change: the first makes new ones.
    push_secrets: str = ""

    # Whether events are published after the answer to a request, and not before it.
    after_answer: bool = False

    horizon_days: int = Field(60, ge=1, le=366)
    first_sync_wait_seconds: float = Field(3.0, ge=0)
    sync_interval_seconds: int = Field(300, ge=1)
    stale_after_seconds: int = Field(900, ge=1)
    calendar_timeout_seconds: float = Field(3.0, gt=0)
    calendar_attempts: int = Field(4, ge=1)

    # Where browsers reach this deployment: links to connect calendars begin with it.
    public_url: str = Field(
        "", pattern=r"^(https://[^/?#@\s]+|http://(127\.0\.0\.1|localhost)(:\d{1,5})?)?/?$"
    )
    # What those links are sealed with: the first seals, those after it are read too while they change.
    connect_secrets: str = ""
    # The function that knows connections and stores them; empty: nothing can be connected.
    connections_function: str = ""
    # The operator's registration at Google, and the JSON key of a service account at an organization that
    # delegates to it.
    google_client_id: str = ""
    google_client_secret: str = ""
    google_service_account: str = ""
    # The operator's application at Microsoft, and an organization (by its id or domain) that lets it into its
    # mailboxes; common: none does, and anybody's accounts may connect.
    microsoft_client_id: str = ""
    microsoft_client_secret: str = ""
    microsoft_tenant: str = Field("common", pattern=r"^[A-Za-z0-9.-]+$")
    # For stand-ins of the providers only: where their OAuth endpoints and their calendars are.
    google_accounts_url: str = ""
    google_api_url: str = ""
    microsoft_accounts_url: str = ""
    microsoft_api_url: str = ""

    webhook_timeout_seconds: float = Field(15.0, gt=0)
    # Seconds from a failed attempt to the next; the last number is for all that follow.
    webhook_schedule_seconds: str = Field(
        "5,300,1800,7200,18000,36000,43200", pattern=r"^\d{1,5}(\.\d+)?(,\d{1,5}(\.\d+)?)*$"
    )
    # The part of each delay that is random: 0 for none, 1 for all of it.
    webhook_jitter: float = Field(0.2, ge=0, le=1)
    # How long an open circuit breaker lets nothing through: at first, doubling up to the longest.
    webhook_pause_seconds: float = Field(15.0, gt=0)
    webhook_longest_pause_seconds: float = Field(300.0, gt=0)
    webhook_max_attempts: int = Field(13, ge=1, le=1000)
    # The time limit of a delivery that was held back, from its first receipt; 13 attempts take as long.
    webhook_give_up_seconds: float = Field(302_400.0, gt=0)
    webhook_allowed_ports: str = Field("443,8443", pattern=r"^\d{1,5}(,\d{1,5})*$")
    webhook_kms_key_id: str = ""
    # The function that says whether a message may still name its customer; empty: nobody is asked.
    contact_permits_function: str = ""
    calendar_fetch_function: str = ""
    # For the local stack and the tests only.
    webhook_allow_loopback_http: bool = False
    outbox_grace_seconds: float = Field(10.0, ge=0)
    redeliver_after_seconds: int = Field(3_600, ge=1)
    # Days of failures alone until the tenant is warned, and until the endpoint is turned off.
    endpoint_warning_days: float = Field(4.0, gt=0)
    endpoint_disable_days: float = Field(5.0, gt=0)

    # The issuers of tokens as JSON: see docs/access.md.
    token_issuers: str = ""
    # A minute and an address: requests of one tenant's callers together, and keys, signatures and tokens that
    # are wrong. Past the second, keys that are not known are not looked up.
    max_requests_per_address: int = Field(6_000, ge=1)
    max_unknown_keys_per_minute: int = Field(60, ge=1)
    # What addresses are kept as digests with, the same for every process of a deployment.
    address_secret: str = ""
    # By which CloudFront proves that a request came through it; two, with a comma between, while they change.
    origin_secrets: str = ""
    # Whether a request that did not is refused.
    only_through_cloudfront: bool = False
    # For the local stack and the tests only, whose keys are easy to type: their form is not checked.
    any_key_form: bool = False
    max_holds_per_client: int = Field(20, ge=0)
    idempotency_hours: int = Field(24, ge=1)
    # How much a process keeps of the availability of teams; 0: nothing is kept, in Valkey neither.
    page_cache_bytes: int = Field(16 * 1024 * 1024, ge=0)
    keep_slots_days: int = Field(7, ge=0)
    # Every booking has a delivery for each.
    max_endpoints_per_tenant: int = Field(50, ge=1)
    # The retention of settled events, their deliveries and inbound events; longer than the 14 days in which a
    # dead letter can be sent again.
    keep_events_days: int = Field(90, ge=15)
    # The retention of the audit; 0: for ever. Decisions stay whatever it is.
    keep_audit_days: int = Field(0, ge=0)


@cache
def settings() -> Settings:
    """Return the settings of this process; an empty variable counts as absent."""
    given = {name: os.environ.get(name.upper()) for name in Settings.model_fields}
    return Settings.model_validate({name: value for name, value in given.items() if value})
