-- What is booked, why that coach, and what has to be told.

CREATE TABLE coach_appointments (
    appointment_id        uuid PRIMARY KEY DEFAULT uuidv7(),
    tenant_id             text NOT NULL,
    calendar_id           text NOT NULL REFERENCES calendars,
    coach_id              text NOT NULL REFERENCES coaches,
    start_time            timestamptz NOT NULL,
    end_time              timestamptz NOT NULL,
    takes                 tstzrange NOT NULL,
    status                text NOT NULL DEFAULT 'scheduled'
        CHECK (status IN ('held', 'scheduled', 'completed', 'no_show', 'cancelled', 'rescheduled')),
    version               integer NOT NULL DEFAULT 1,
    contact_name          text,
    contact_email         text,
    notes                 text,
    timezone              text,
    metadata              jsonb NOT NULL DEFAULT '{}',
    crm_contact_id        text,
    external_calendar_id  text,
    conflict              boolean NOT NULL DEFAULT false,
    cancelled_by          text CHECK (cancelled_by IN ('customer', 'coach', 'system')),
    cancel_reason         text,
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now(),
    cancelled_at          timestamptz,
    held_by               text,
    expires_at            timestamptz,
    CHECK ((status = 'held') = (expires_at IS NOT NULL)),
    CHECK (status = 'held' OR (contact_name IS NOT NULL AND contact_email IS NOT NULL)),
    CHECK (start_time < end_time),
    CHECK (takes @> tstzrange(start_time, end_time)),
    CONSTRAINT coach_appointments_no_overlap
        EXCLUDE USING gist (coach_id WITH =, takes WITH &&)
        WHERE (status IN ('held', 'scheduled', 'completed', 'no_show'))
) WITH (fillfactor = 80);
CREATE INDEX coach_appointments_by_coach ON coach_appointments (coach_id, start_time);
CREATE INDEX coach_appointments_by_calendar ON coach_appointments (calendar_id, start_time);
CREATE INDEX coach_appointments_held ON coach_appointments (expires_at) WHERE status = 'held';
CREATE INDEX coach_appointments_by_tenant ON coach_appointments (tenant_id, start_time, appointment_id);
COMMENT ON TABLE coach_appointments IS
    'A hold is a row too, in the state held: it becomes the appointment when it is confirmed and goes when it expires.';
COMMENT ON COLUMN coach_appointments.takes IS 'the appointment with its buffers';
COMMENT ON COLUMN coach_appointments.external_calendar_id IS 'the block that the external calendar holds for it';

CREATE TABLE distribution_log (
    calendar_id     text NOT NULL REFERENCES calendars ON DELETE CASCADE,
    seq             bigint NOT NULL,
    appointment_id  uuid,
    kind            text NOT NULL CHECK (kind IN ('assigned', 'reversed', 'left')),
    reverses_seq    bigint,
    policy          text NOT NULL,
    policy_version  integer NOT NULL,
    chosen          text NOT NULL,
    candidates      jsonb NOT NULL,
    decided_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (calendar_id, seq),
    CHECK ((kind = 'reversed') = (reverses_seq IS NOT NULL))
);
CREATE INDEX distribution_log_appointment ON distribution_log (appointment_id);
COMMENT ON COLUMN distribution_log.candidates IS
    '[{coach_id, score, weight, share, credit, last, delta} or {coach_id, score, excluded}, …]; weights, shares and credits
     in millionths; share is what the coach was due, delta how the credit moved. All that a replay needs is here.';

-- An answer that was given for an idempotency key, written in the transaction of its effect.
CREATE TABLE idempotency_keys (
    tenant_id    text NOT NULL,
    key          text NOT NULL,
    fingerprint  bytea NOT NULL,
    answer       jsonb NOT NULL,
    expires_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, key)
);
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);

CREATE TABLE webhook_endpoints (
    endpoint_id  uuid PRIMARY KEY DEFAULT uuidv7(),
    tenant_id    text NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('crm', 'calendar_api', 'standard')),
    url          text,
    event_types  text[] NOT NULL,
    enabled      boolean NOT NULL DEFAULT true,
    created_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (tenant_id, kind, url),
    CHECK (kind <> 'standard' OR url IS NOT NULL)
);
COMMENT ON COLUMN webhook_endpoints.url IS 'null: the address that the deployment gives for the kind';

-- The outbox: what happened, written in the transaction in which it happened.
CREATE TABLE webhook_events (
    event_id        uuid PRIMARY KEY DEFAULT uuidv7(),
    tenant_id       text NOT NULL,
    type            text NOT NULL,
    appointment_id  uuid,
    version         integer NOT NULL,
    data            jsonb NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX webhook_events_appointment ON webhook_events (appointment_id);

-- One event for one endpoint. A row without published_at has not reached the queue yet.
CREATE TABLE webhook_deliveries (
    delivery_id      uuid PRIMARY KEY DEFAULT uuidv7(),
    event_id         uuid NOT NULL REFERENCES webhook_events ON DELETE CASCADE,
    endpoint_id      uuid NOT NULL REFERENCES webhook_endpoints,
    params           jsonb NOT NULL DEFAULT '{}',
    status           text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed', 'cancelled')),
    published_at     timestamptz,
    next_attempt_at  timestamptz,
    finished_at      timestamptz,
    created_at       timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
CREATE INDEX webhook_deliveries_event ON webhook_deliveries (event_id);
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (created_at) WHERE status = 'pending';

COMMENT ON COLUMN webhook_deliveries.params IS 'what this endpoint is told beyond the event, such as which block to release';

CREATE TABLE webhook_attempts (
    delivery_id       uuid NOT NULL REFERENCES webhook_deliveries ON DELETE CASCADE,
    attempt           integer NOT NULL,
    at                timestamptz NOT NULL,
    outcome           text NOT NULL CHECK (outcome IN ('delivered', 'retrying', 'failed')),
    status_code       integer,
    latency_ms        integer,
    error             text,
    response_excerpt  text,
    PRIMARY KEY (delivery_id, attempt, at)
);

-- What partners told us, stored before anything is done about it.
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
    UNIQUE (tenant_id, key)
);
CREATE INDEX inbound_events_open ON inbound_events (received_at) WHERE processed_at IS NULL;
