-- The baseline, part 2: webhook endpoints, changes, deliveries and inbound events.

-- Who receives events: our two partners and the subscribers of our customers.
CREATE TABLE webhook_endpoints (
    endpoint_id      uuid PRIMARY KEY DEFAULT uuidv7(),
    tenant_id        text NOT NULL,
    kind             text NOT NULL CHECK (kind IN ('crm', 'calendar_api', 'standard')),
    url              text,
    event_types      text[] NOT NULL,
    enabled          boolean NOT NULL DEFAULT true,
    created_at       timestamptz NOT NULL DEFAULT now(),
    description      text NOT NULL DEFAULT '',
    headers          jsonb NOT NULL DEFAULT '{}',
    secret           text,
    older_secrets    jsonb NOT NULL DEFAULT '[]',
    concurrency      integer CHECK (concurrency > 0),
    rate_per_second  double precision CHECK (rate_per_second > 0),
    disabled_reason  text CHECK (disabled_reason IN ('by_request', 'gone', 'failing')),
    disabled_at      timestamptz,
    failing_since    timestamptz,
    warned_at        timestamptz,
    updated_at       timestamptz NOT NULL DEFAULT now(),
    deleted_at       timestamptz,
    revision         integer NOT NULL DEFAULT 1,
    enabled_at       timestamptz,
    CHECK (kind <> 'standard' OR url IS NOT NULL),
    CHECK (kind <> 'standard' OR secret IS NOT NULL),
    CHECK (deleted_at IS NULL OR NOT enabled)
);
CREATE UNIQUE INDEX webhook_endpoints_live ON webhook_endpoints (tenant_id, kind, url) NULLS NOT DISTINCT
    WHERE deleted_at IS NULL;
COMMENT ON COLUMN webhook_endpoints.url IS
    'a subscriber''s, in canonical form: equal addresses are equal texts; null: a partner''s';
COMMENT ON COLUMN webhook_endpoints.secret IS
    'ciphertext, base64, with the endpoint''s id as its encryption context: reading this table is not enough to sign';
COMMENT ON COLUMN webhook_endpoints.older_secrets IS
    'replaced secrets that still sign, newest first: [{"secret": ciphertext, "until": instant}]';
COMMENT ON COLUMN webhook_endpoints.deleted_at IS 'the row stays for the deliveries that name it';
COMMENT ON COLUMN webhook_endpoints.concurrency IS 'most concurrent attempts; null: the dispatcher''s default';
COMMENT ON COLUMN webhook_endpoints.revision IS 'goes up with every change of what messages carry, and when it is turned on or off';
COMMENT ON COLUMN webhook_endpoints.enabled_at IS 'when it was last turned on again';

-- What is on record of an appointment at a change: what events and answers say of it, and where its block may be. Types of
-- their own: a column of the type coach_appointments would forbid that table to get a column with a default.
CREATE TYPE appointment_image AS (
    appointment_id uuid, calendar_id text, coach_id text, start_time timestamptz, end_time timestamptz, takes tstzrange,
    status text, version integer, contact_name text, contact_email text, notes text, timezone text, metadata json,
    crm_contact_id text, external_calendar_id text, conflict boolean, created_at timestamptz, updated_at timestamptz,
    cancelled_at timestamptz, expires_at timestamptz, block_unconfirmed boolean, requires text[]
);
CREATE TYPE appointment_place AS (
    coach_id text, start_time timestamptz, end_time timestamptz, takes tstzrange, external_calendar_id text
);

-- How a decision moves the credits of a calendar: all that its replay needs, with the roster it was made with. Last what the
-- turns become, which is not on record, as it follows by the rule.
CREATE TYPE decision AS (
    calendar_id text, kind text, seq bigint, policy text, policy_version integer, roster_version integer, chosen integer,
    credits bigint[], lasts bigint[], excluded text[], unmet integer[], reverses bigint, reversed_in text,
    decided_at timestamptz,
    credits_after bigint[], lasts_after bigint[]
);

-- A row a change of an appointment or of credits, written in its transaction: the event for subscribers, the answer for an
-- idempotency key, and the decision. The view distribution_log spells the decisions out, a row a step.
CREATE TABLE changes (
    change_id       uuid PRIMARY KEY,
    tenant_id       text NOT NULL,
    type            text NOT NULL,
    at              timestamptz NOT NULL DEFAULT now(),
    appointment_id  uuid,
    version         integer,
    before          appointment_place,
    after           appointment_image,
    details         jsonb,
    told            boolean NOT NULL,
    key             text,
    fingerprint     bytea,
    key_until       timestamptz,
    answer          jsonb,
    calendar_id     text,
    kind            text,
    seq             bigint,
    policy          text,
    policy_version  integer,
    roster_version  integer,
    chosen          integer,
    credits         bigint[],
    lasts           bigint[],
    excluded        text[],
    unmet           integer[],
    reverses        bigint,
    reversed_in     text,
    decided_at      timestamptz,
    CONSTRAINT changes_version UNIQUE (appointment_id, version)
);
CREATE UNIQUE INDEX changes_key ON changes (tenant_id, key) WHERE key IS NOT NULL;
CREATE UNIQUE INDEX changes_seq ON changes (calendar_id, seq) WHERE seq IS NOT NULL;
-- What moved credits without an appointment that stands: the distribution of a period counts it by its own date.
CREATE INDEX changes_apart ON changes (calendar_id, decided_at)
 WHERE type IN ('hold.released', 'hold.expired', 'coach.left', 'credit.adjusted', 'credit.settled', 'kind.removed');
CREATE INDEX changes_key_until ON changes (key_until) WHERE key IS NOT NULL;
CREATE INDEX changes_untold ON changes (change_id) WHERE NOT told;
COMMENT ON COLUMN changes.change_id IS 'the event''s id in messages and in the API';
COMMENT ON COLUMN changes.type IS
    'the event''s type; hold.created, hold.released or hold.expired; without an appointment: coach.left,
     credit.adjusted (details has the amount and the reason) and credit.settled, of the coach at the place chosen; kind.removed;
     answer: the answer for a key, and nothing changed';
COMMENT ON COLUMN changes.version IS 'the appointment''s after the change; 0: it was held';
COMMENT ON COLUMN changes.before IS 'what the calendar API may have to release; null: there was no appointment';
COMMENT ON COLUMN changes.after IS 'notes and metadata only for as long as the answer for the key needs them';
COMMENT ON COLUMN changes.details IS 'what the event says beyond the appointment';
COMMENT ON COLUMN changes.told IS 'its deliveries are made, or it is no event';
COMMENT ON COLUMN changes.key IS 'the idempotency key that the change was made for, until key_until';
COMMENT ON COLUMN changes.answer IS 'the answer for the key where it cannot be made from the appointment after the change';
COMMENT ON COLUMN changes.calendar_id IS 'whose credits it moved: this and what follows is the decision, null without one';
COMMENT ON COLUMN changes.kind IS 'the kind of hour whose ledger it moved';
COMMENT ON COLUMN changes.chosen IS 'place in the roster, from 1; null: a decision was only reversed, or a kind removed';
COMMENT ON COLUMN changes.credits IS 'before the decision and after the reversal, if there is one; lasts likewise';
COMMENT ON COLUMN changes.excluded IS 'why each coach was not eligible, null for those who were; null: everybody was';
COMMENT ON COLUMN changes.unmet IS
    'what each coach did not meet of what the customer asked for, after.requires, as in rosters; null: all met all';
COMMENT ON COLUMN changes.reverses IS 'the decision that is undone first; the reversal has the number before this one''s';
COMMENT ON COLUMN changes.reversed_in IS 'the kind of hour whose ledger the reversal moved; null: that of the decision';

-- One event for one endpoint. Without published_at it has not reached the queue yet.
CREATE TABLE webhook_deliveries (
    delivery_id        uuid PRIMARY KEY DEFAULT uuidv7(),
    event_id           uuid NOT NULL REFERENCES changes ON DELETE CASCADE,
    endpoint_id        uuid NOT NULL REFERENCES webhook_endpoints,
    params             jsonb NOT NULL DEFAULT '{}',
    status             text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed', 'cancelled')),
    published_at       timestamptz,
    next_attempt_at    timestamptz,
    finished_at        timestamptz,
    created_at         timestamptz NOT NULL DEFAULT now(),
    round              integer NOT NULL DEFAULT 1,
    replayed_at        timestamptz,
    reason             text,
    revision           integer,
    results_missing    boolean NOT NULL DEFAULT false,
    unconfirmed_since  timestamptz,
    looked_at          timestamptz
) WITH (fillfactor = 70);
CREATE INDEX webhook_deliveries_event ON webhook_deliveries (event_id);
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (created_at) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_unconfirmed ON webhook_deliveries (delivery_id) WHERE unconfirmed_since IS NOT NULL;
CREATE INDEX webhook_deliveries_by_endpoint ON webhook_deliveries (endpoint_id, delivery_id);
-- Finds what the calendar API is or was asked to do about a coach's time in a span.
CREATE INDEX webhook_deliveries_by_coach ON webhook_deliveries ((params ->> 'coach_id'), (params ->> 'end_time') COLLATE "C")
    WHERE params ? 'action';
COMMENT ON COLUMN webhook_deliveries.params IS 'data for this endpoint beyond the event''s, such as the block to release';
COMMENT ON COLUMN webhook_deliveries.round IS 'each replay begins another round of attempts';
COMMENT ON COLUMN webhook_deliveries.reason IS
    'why it failed: the last attempt''s error, block_unconfirmed, dead_letter or endpoint_disabled; while it is pending, why
     nothing is sent: what holds it back, or awaits_release: a block of ours was in the way and is released or looked for';
COMMENT ON COLUMN webhook_deliveries.results_missing IS
    'it was sent again or ended, though the result of an attempt may be missing';
COMMENT ON COLUMN webhook_deliveries.unconfirmed_since IS
    'since when a calendar may have its block without our knowing the id; null: it is known, or cannot be there';
COMMENT ON COLUMN webhook_deliveries.looked_at IS 'when its block was last searched for';
COMMENT ON COLUMN webhook_deliveries.revision IS
    'the endpoint''s, when a message that was out of date was last replaced; null: never';

CREATE TABLE webhook_attempts (
    delivery_id       uuid NOT NULL REFERENCES webhook_deliveries ON DELETE CASCADE,
    attempt           integer NOT NULL,
    at                timestamptz NOT NULL,
    outcome           text NOT NULL CHECK (outcome IN ('delivered', 'retrying', 'failed')),
    status_code       integer,
    latency_ms        integer,
    error             text,
    response_excerpt  text,
    round             integer NOT NULL,
    PRIMARY KEY (delivery_id, attempt, at)
);
COMMENT ON COLUMN webhook_attempts.round IS 'the delivery''s round that this attempt belongs to';

-- Events that partners sent us, stored before they are processed.
CREATE TABLE inbound_events (
    event_id      uuid PRIMARY KEY DEFAULT uuidv7(),
    tenant_id     text NOT NULL,
    key           text NOT NULL,
    fingerprint   bytea NOT NULL,
    type          text NOT NULL,
    body          jsonb NOT NULL,
    received_at   timestamptz NOT NULL DEFAULT now(),
    processed_at  timestamptz,
    outcome       text,
    progress      jsonb,
    UNIQUE (tenant_id, key)
);
CREATE INDEX inbound_events_open ON inbound_events (received_at) WHERE processed_at IS NULL;
COMMENT ON COLUMN inbound_events.progress IS 'how far an event that is processed in portions has come; null: not begun';

-- Who signs requests to us. The id is part of the address and no secret.
CREATE TABLE inbound_sources (
    source_id        uuid PRIMARY KEY,
    tenant_id        text NOT NULL UNIQUE,
    secret           text NOT NULL,
    older_secrets    jsonb NOT NULL DEFAULT '[]',
    rate_limit       integer NOT NULL DEFAULT 600 CHECK (rate_limit > 0),
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN inbound_sources.secret IS
    'ciphertext, base64, with the purpose and the source''s id as its encryption context';
COMMENT ON COLUMN inbound_sources.older_secrets IS 'as in webhook_endpoints';
