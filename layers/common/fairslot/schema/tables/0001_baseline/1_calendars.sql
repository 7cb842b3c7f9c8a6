-- The baseline, part 1: calendars, coaches and appointments. The functions are in ../functions and are applied later.

CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE SCHEMA engine;
COMMENT ON SCHEMA engine IS 'the functions: they are applied as one set, and any other function in here is dropped';

-- Timeouts, so that no session keeps the others waiting. They are the database's, as RDS Proxy refuses connection options
-- and pins a session on SET; sessions that are already open keep their own. Each is longer than the one before:
--
-- idle_in_transaction_session_timeout, 4 s: a client that is frozen or cut off inside a transaction loses it with its locks.
--   Ours are idle inside one only while the sweep sends 100 messages to the queue, in ten calls of 10 to 20 ms.
-- lock_timeout, 5 s: longer, so that a client waiting for a frozen one's locks gets them. A booking locks its calendar for
--   a few milliseconds, so a queue of a thousand fits too. HTTP functions give up on the database after 5.5 s
--   (docs/decisions/0046): the server's error comes before that.
-- statement_timeout, 8 s: the HTTP functions have 10 s, and a statement must not outlive its caller.
-- transaction_timeout, 20 s: for all statements together.
--
-- client_connection_check_interval, 1 s: the statement of a client that is gone is cancelled.
DO $$
BEGIN
    EXECUTE format('ALTER DATABASE %I SET idle_in_transaction_session_timeout = ''4s''', current_database());
    EXECUTE format('ALTER DATABASE %I SET lock_timeout = ''5s''', current_database());
    EXECUTE format('ALTER DATABASE %I SET statement_timeout = ''8s''', current_database());
    EXECUTE format('ALTER DATABASE %I SET transaction_timeout = ''20s''', current_database());
    EXECUTE format('ALTER DATABASE %I SET client_connection_check_interval = ''1s''', current_database());
END $$;

-- Who can be booked, for what, and by whom.

CREATE TABLE coaches (
    coach_id              text PRIMARY KEY,
    tenant_id             text NOT NULL,
    name                  text NOT NULL,
    email                 text,
    time_zone             text NOT NULL,
    score                 double precision NOT NULL DEFAULT 0.5 CHECK (score BETWEEN 0 AND 1),
    alpha                 double precision CHECK (alpha > 0),
    beta                  double precision CHECK (beta > 0),
    evidence_at           timestamptz,
    max_per_day           smallint NOT NULL DEFAULT 10 CHECK (max_per_day >= 0),
    max_per_week          smallint CHECK (max_per_week >= 0),
    max_per_month         smallint CHECK (max_per_month >= 0),
    max_minutes_per_week  integer CHECK (max_minutes_per_week >= 0),
    buffer_before         smallint NOT NULL DEFAULT 0 CHECK (buffer_before BETWEEN 0 AND 240 AND buffer_before % 15 = 0),
    buffer_after          smallint NOT NULL DEFAULT 0 CHECK (buffer_after BETWEEN 0 AND 240 AND buffer_after % 15 = 0),
    min_notice_minutes    integer NOT NULL DEFAULT 0 CHECK (min_notice_minutes >= 0),
    working_hours         jsonb NOT NULL,
    overrides             jsonb NOT NULL DEFAULT '[]',
    blocked_dates         date[] NOT NULL DEFAULT '{}',
    calendar_kind         text NOT NULL DEFAULT 'none' CHECK (calendar_kind IN ('none', 'calendar_api', 'icalendar')),
    calendar_url          text,
    active                boolean NOT NULL DEFAULT true,
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now(),
    deleted_at            timestamptz,
    attributes            jsonb NOT NULL DEFAULT '{}',
    CHECK (calendar_kind <> 'icalendar' OR calendar_url IS NOT NULL),
    CHECK (deleted_at IS NULL OR NOT active)
);
CREATE INDEX coaches_by_tenant ON coaches (tenant_id, coach_id COLLATE "C") WHERE deleted_at IS NULL;
COMMENT ON COLUMN coaches.score IS 'alpha / (alpha + beta), or what it was given before the first outcome';
COMMENT ON COLUMN coaches.working_hours IS
    '{"mon": [["09:00", "17:00"]], …} in the coach''s zone; an interval that ends at or before its start crosses midnight';
COMMENT ON COLUMN coaches.overrides IS
    '[{"date": "2026-12-24", "hours": [["09:00", "12:00"]]}, …]: the hours that begin on a date instead of its weekday''s';
COMMENT ON COLUMN coaches.attributes IS
    '{"language": ["de", "en"], "tier": 2, "remote": true}: what calendars and requests may require';
COMMENT ON COLUMN coaches.max_per_week IS
    'weeks begin on Monday, in the coach''s zone, and months likewise; null: as many as there is time for';
COMMENT ON COLUMN coaches.min_notice_minutes IS
    'of the coach, the calendar and the coach''s place in its team, the largest notice and the largest buffers hold';
COMMENT ON COLUMN coaches.deleted_at IS 'a deleted coach is in no team; appointments and decisions keep the row';

-- When a coach's external calendar was requested and read; apart from coaches, as it changes all the time.
CREATE TABLE coach_syncs (
    coach_id            text PRIMARY KEY REFERENCES coaches ON DELETE CASCADE,
    first_requested_at  timestamptz,
    requested_at        timestamptz,
    synced_at           timestamptz,
    failed_at           timestamptz,
    failures            integer NOT NULL DEFAULT 0,
    error               text,
    stale_told_at       timestamptz,
    unreadable_events   integer NOT NULL DEFAULT 0
);
COMMENT ON COLUMN coach_syncs.synced_at IS 'when the reading that is stored began';
COMMENT ON COLUMN coach_syncs.unreadable_events IS
    'how many events of the stored reading could not be read fully; they are busy for as long as they may take';

CREATE TABLE calendars (
    calendar_id         text PRIMARY KEY,
    tenant_id           text NOT NULL,
    name                text NOT NULL,
    slug                text,
    description         text NOT NULL DEFAULT '',
    slot_duration       smallint NOT NULL CHECK (slot_duration BETWEEN 15 AND 720 AND slot_duration % 15 = 0),
    slot_interval       smallint NOT NULL DEFAULT 15 CHECK (slot_interval BETWEEN 15 AND 1440 AND slot_interval % 15 = 0),
    buffer_before       smallint NOT NULL DEFAULT 0 CHECK (buffer_before BETWEEN 0 AND 240 AND buffer_before % 15 = 0),
    buffer_after        smallint NOT NULL DEFAULT 0 CHECK (buffer_after BETWEEN 0 AND 240 AND buffer_after % 15 = 0),
    min_notice_minutes  integer NOT NULL DEFAULT 0 CHECK (min_notice_minutes >= 0),
    horizon_days        smallint NOT NULL DEFAULT 60 CHECK (horizon_days BETWEEN 1 AND 366),
    time_zone           text NOT NULL DEFAULT 'UTC',
    max_per_day         integer CHECK (max_per_day >= 0),
    blocked_dates       date[] NOT NULL DEFAULT '{}',
    policy              text NOT NULL DEFAULT 'fair_share' CHECK (policy IN ('fair_share', 'highest_score')),
    policy_version      integer NOT NULL DEFAULT 1,
    weight_exponent     double precision NOT NULL DEFAULT 4 CHECK (weight_exponent >= 0),
    weight_low          double precision NOT NULL DEFAULT 0.5 CHECK (weight_low > 0),
    weight_high         double precision NOT NULL DEFAULT 2 CHECK (weight_high >= weight_low),
    prior_strength      double precision NOT NULL DEFAULT 16 CHECK (prior_strength > 0),
    half_life_days      double precision NOT NULL DEFAULT 60 CHECK (half_life_days > 0),
    active              boolean NOT NULL DEFAULT true,
    created_at          timestamptz NOT NULL DEFAULT now(),
    conflict_policy     text NOT NULL DEFAULT 'keep' CHECK (conflict_policy IN ('keep', 'reassign', 'cancel')),
    deleted_at          timestamptz,
    hour_kinds          jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(hour_kinds) = 'array'),
    requires            text[] NOT NULL DEFAULT '{}',
    CHECK (deleted_at IS NULL OR NOT active)
);
CREATE INDEX calendars_by_tenant ON calendars (tenant_id, calendar_id COLLATE "C") WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX calendars_slug ON calendars (tenant_id, slug) WHERE deleted_at IS NULL;
COMMENT ON TABLE calendars IS 'Durations in minutes. What changes its appointments or credits takes engine.lock_calendar().';
COMMENT ON COLUMN calendars.time_zone IS 'in which max_per_day, blocked_dates and hour_kinds count';
COMMENT ON COLUMN calendars.hour_kinds IS
    '[{"name": "weekend", "days": ["sat", "sun"]}, {"name": "late", "from": "17:00"}, …]: the first that matches a start is
     its kind, else normal; each kind has a ledger of its own';
COMMENT ON COLUMN calendars.deleted_at IS 'a deleted calendar has no team; appointments and decisions keep the row';
COMMENT ON COLUMN calendars.requires IS 'name:value, …: attributes without which nobody of the team is booked';
COMMENT ON COLUMN calendars.conflict_policy IS
    'for an appointment whose coach is away: keep and mark it, reassign it (or mark it if nobody is free), or cancel it';

-- Who is in the team of a calendar. Triggers keep the rosters beside it: schema/functions/16_rosters.sql.
CREATE TABLE coach_calendars (
    calendar_id         text NOT NULL REFERENCES calendars ON DELETE CASCADE,
    coach_id            text NOT NULL REFERENCES coaches ON DELETE CASCADE,
    manual_weight       double precision NOT NULL DEFAULT 1 CHECK (manual_weight > 0),
    joined_at           timestamptz NOT NULL DEFAULT now(),
    buffer_before       smallint NOT NULL DEFAULT 0 CHECK (buffer_before BETWEEN 0 AND 240 AND buffer_before % 15 = 0),
    buffer_after        smallint NOT NULL DEFAULT 0 CHECK (buffer_after BETWEEN 0 AND 240 AND buffer_after % 15 = 0),
    min_notice_minutes  integer NOT NULL DEFAULT 0 CHECK (min_notice_minutes >= 0),
    PRIMARY KEY (calendar_id, coach_id)
);
CREATE INDEX coach_calendars_coach ON coach_calendars (coach_id);

-- A calendar's team as arrays in one order, the form in which a booking reads it.
CREATE TABLE rosters (
    calendar_id     text NOT NULL REFERENCES calendars ON DELETE CASCADE,
    version         integer NOT NULL,
    since           bigint NOT NULL,
    coach_ids       text[] NOT NULL,
    weights         bigint[] NOT NULL,
    scores          double precision[] NOT NULL,
    absent          text[] NOT NULL,
    buffers_before  integer[],
    buffers_after   integer[],
    notices         integer[],
    limited         boolean[],
    requires        text[] NOT NULL DEFAULT '{}',
    unmet           integer[],
    PRIMARY KEY (calendar_id, version)
);
COMMENT ON TABLE rosters IS 'A version that a decision used never changes: the decision is read and replayed with it.';
COMMENT ON COLUMN rosters.since IS 'the calendar''s last decision when the version came; with a later one it was used';
COMMENT ON COLUMN rosters.coach_ids IS 'sorted by COLLATE "C"; the other arrays have their order, and so have those of turns';
COMMENT ON COLUMN rosters.weights IS 'millionths, derived from the scores and manual_weight';
COMMENT ON COLUMN rosters.absent IS
    'why a coach cannot be booked at all: inactive, missing_attribute, or not_synced: the external calendar was never read;
     else null';
COMMENT ON COLUMN rosters.requires IS 'the calendar''s';
COMMENT ON COLUMN rosters.unmet IS
    'what each coach does not meet of requires: bit i - 1 is the i-th; null: all meet all (functions/00_attributes.sql)';

COMMENT ON COLUMN rosters.buffers_before IS
    'in slots, the larger of the coach''s own and that of the place in this team, without the calendar''s; null, as for
     buffers_after: nobody has any';
COMMENT ON COLUMN rosters.notices IS 'minutes, likewise';
COMMENT ON COLUMN rosters.limited IS 'whether the coach has rows in coach_periods; null: nobody has';

-- Who is owed what, and who was chosen last: a narrow row that every decision updates in place, so without CHECKs.
CREATE TABLE turns (
    calendar_id     text NOT NULL REFERENCES calendars ON DELETE CASCADE,
    kind            text NOT NULL DEFAULT 'normal',
    roster_version  integer NOT NULL,
    seq             bigint NOT NULL,
    since           bigint NOT NULL DEFAULT 0,
    credits         bigint[] NOT NULL,
    lasts           bigint[] NOT NULL,
    PRIMARY KEY (calendar_id, kind)
) WITH (fillfactor = 10);
ALTER TABLE turns ALTER credits SET STORAGE MAIN, ALTER lasts SET STORAGE MAIN;
COMMENT ON TABLE turns IS 'In the order of the roster; the view coach_credits has a row a coach.';
COMMENT ON COLUMN turns.kind IS 'the kind of hour that has its own credits; every calendar has normal';
COMMENT ON COLUMN turns.seq IS 'the number of the calendar''s last decision, in the row normal; in the others that of their own';
COMMENT ON COLUMN turns.since IS
    'the calendar''s last decision when the ledger began; what was decided in an earlier one of this name is in normal now';
COMMENT ON COLUMN turns.credits IS 'bookings owed to each coach, in millionths; they sum to 0';
COMMENT ON COLUMN turns.lasts IS 'the number of the last decision that chose each coach; 0: none did';

-- What is booked, and why with that coach.

CREATE TABLE coach_appointments (
    appointment_id        uuid PRIMARY KEY DEFAULT uuidv7(),
    tenant_id             text NOT NULL,
    calendar_id           text NOT NULL,
    coach_id              text NOT NULL,
    start_time            timestamptz NOT NULL,
    end_time              timestamptz NOT NULL,
    takes                 tstzrange NOT NULL,
    status                text NOT NULL DEFAULT 'scheduled',
    version               integer NOT NULL DEFAULT 1,
    contact_name          text,
    contact_email         text,
    notes                 text,
    timezone              text,
    metadata              json NOT NULL DEFAULT '{}',
    crm_contact_id        text,
    external_calendar_id  text,
    conflict              boolean NOT NULL DEFAULT false,
    cancelled_by          text,
    cancel_reason         text,
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now(),
    cancelled_at          timestamptz,
    held_by               text,
    expires_at            timestamptz,
    conflict_delivery     uuid,
    block_unconfirmed     boolean NOT NULL DEFAULT false,
    requires              text[],
    CONSTRAINT coach_appointments_sound CHECK (
        status IN ('held', 'scheduled', 'completed', 'no_show', 'cancelled', 'rescheduled')
        AND (status = 'held') = (expires_at IS NOT NULL)
        AND (status = 'held' OR (contact_name IS NOT NULL AND contact_email IS NOT NULL))
        AND start_time < end_time AND takes @> tstzrange(start_time, end_time)
        AND (cancelled_by IS NULL OR cancelled_by IN ('customer', 'coach', 'system'))),
    CONSTRAINT coach_appointments_no_overlap
        EXCLUDE USING gist (coach_id WITH =, takes WITH &&)
        WHERE (status IN ('held', 'scheduled', 'completed', 'no_show'))
) WITH (fillfactor = 80);
CREATE INDEX coach_appointments_by_coach ON coach_appointments (coach_id, start_time);
CREATE INDEX coach_appointments_by_calendar ON coach_appointments (calendar_id, start_time);
CREATE INDEX coach_appointments_held ON coach_appointments (expires_at) WHERE status = 'held';
CREATE INDEX coach_appointments_by_tenant ON coach_appointments (tenant_id, start_time, appointment_id);
COMMENT ON TABLE coach_appointments IS
    'A hold is a row with the status held and version 0: confirming it makes it the appointment, expiry deletes it. Each
     statement reads a table''s CHECKs again, hence one; triggers stand in for foreign keys: docs/decisions/0084.';
COMMENT ON COLUMN coach_appointments.takes IS 'the appointment with its buffers';
COMMENT ON COLUMN coach_appointments.metadata IS
    'as the client wrote it, without spaces: jsonb would write 9e307 with 308 digits';
COMMENT ON COLUMN coach_appointments.requires IS
    'attributes that the customer asked for beyond the calendar''s, sorted; whoever it goes to later has to meet them, too';
COMMENT ON COLUMN coach_appointments.external_calendar_id IS 'its block in the external calendar';
COMMENT ON COLUMN coach_appointments.block_unconfirmed IS
    'a block whose id we do not know may be in a calendar, at its time or at one that it was moved from';
COMMENT ON COLUMN coach_appointments.conflict_delivery IS
    'the delivery whose refusal alone made it a conflict; null: something else did';
