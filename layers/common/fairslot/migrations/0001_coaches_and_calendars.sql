-- Who can be booked, for what, and by whom.

CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE TABLE api_keys (
    key_id      uuid PRIMARY KEY DEFAULT uuidv7(),
    tenant_id   text NOT NULL,
    key_hash    bytea NOT NULL UNIQUE CHECK (length(key_hash) = 32),
    label       text NOT NULL DEFAULT '',
    scopes      text[] NOT NULL DEFAULT '{read,write}' CHECK (scopes <@ '{read,write,admin}'),
    rate_limit  integer NOT NULL DEFAULT 100 CHECK (rate_limit > 0),
    created_at  timestamptz NOT NULL DEFAULT now(),
    revoked_at  timestamptz
);
COMMENT ON COLUMN api_keys.key_hash IS 'SHA-256 of the key; the key itself is never stored';
COMMENT ON COLUMN api_keys.rate_limit IS 'requests a minute';

CREATE TABLE coaches (
    coach_id       text PRIMARY KEY,
    tenant_id      text NOT NULL,
    name           text NOT NULL,
    time_zone      text NOT NULL,
    score          double precision NOT NULL DEFAULT 0.5 CHECK (score BETWEEN 0 AND 1),
    alpha          double precision CHECK (alpha > 0),
    beta           double precision CHECK (beta > 0),
    evidence_at    timestamptz,
    max_per_day    smallint NOT NULL DEFAULT 10 CHECK (max_per_day >= 0),
    working_hours  jsonb NOT NULL,
    blocked_dates  date[] NOT NULL DEFAULT '{}',
    calendar_kind  text NOT NULL DEFAULT 'none' CHECK (calendar_kind IN ('none', 'calendar_api', 'icalendar')),
    calendar_url   text,
    active         boolean NOT NULL DEFAULT true,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    CHECK (calendar_kind <> 'icalendar' OR calendar_url IS NOT NULL)
);
COMMENT ON COLUMN coaches.score IS 'alpha / (alpha + beta), or what it was given before the first outcome';
COMMENT ON COLUMN coaches.working_hours IS
    '{"mon": [["09:00", "17:00"]], …} in the coach''s zone; an interval that ends at or before its start crosses midnight';

-- When a coach's external calendar was asked for and read; apart from coaches, as it changes all the time.
CREATE TABLE coach_syncs (
    coach_id            text PRIMARY KEY REFERENCES coaches ON DELETE CASCADE,
    first_requested_at  timestamptz,
    requested_at        timestamptz,
    synced_at           timestamptz,
    failed_at           timestamptz,
    failures            integer NOT NULL DEFAULT 0,
    error               text
);
COMMENT ON COLUMN coach_syncs.synced_at IS 'when the reading of what is stored began';

CREATE TABLE calendars (
    calendar_id         text PRIMARY KEY,
    tenant_id           text NOT NULL,
    name                text NOT NULL,
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
    decision_seq        bigint NOT NULL DEFAULT 0,
    active              boolean NOT NULL DEFAULT true,
    created_at          timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
COMMENT ON TABLE calendars IS 'Durations in minutes. A booking locks its row, which orders the decisions of the calendar.';
COMMENT ON COLUMN calendars.time_zone IS 'in which max_per_day and blocked_dates are meant';

CREATE TABLE coach_calendars (
    calendar_id        text NOT NULL REFERENCES calendars ON DELETE CASCADE,
    coach_id           text NOT NULL REFERENCES coaches ON DELETE CASCADE,
    manual_weight      double precision NOT NULL DEFAULT 1 CHECK (manual_weight > 0),
    weight             integer NOT NULL DEFAULT 1000000 CHECK (weight > 0),
    credit             bigint NOT NULL DEFAULT 0,
    last_assigned_seq  bigint,
    joined_at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (calendar_id, coach_id)
) WITH (fillfactor = 50);
CREATE INDEX coach_calendars_coach ON coach_calendars (coach_id);
COMMENT ON COLUMN coach_calendars.weight IS 'millionths; derived from the scores by refresh_weights()';
COMMENT ON COLUMN coach_calendars.credit IS 'bookings owed to the coach, in millionths; sums to 0 over a calendar';

-- The weight of a coach is clip((score / team mean)^exponent, low, high), times the manual weight.
CREATE FUNCTION refresh_weights(p_calendar text) RETURNS void LANGUAGE sql
BEGIN ATOMIC
    UPDATE coach_calendars AS member
       SET weight = greatest(1, round(1000000 * member.manual_weight * least(team.weight_high, greatest(team.weight_low,
               CASE WHEN team.mean > 0 THEN power(coach.score / team.mean, team.weight_exponent) ELSE 1 END))))::integer
      FROM coaches AS coach,
           (SELECT calendar.calendar_id, calendar.weight_low, calendar.weight_high, calendar.weight_exponent,
                   avg(mate.score) AS mean
              FROM calendars AS calendar
              JOIN coach_calendars AS teammate USING (calendar_id)
              JOIN coaches AS mate ON mate.coach_id = teammate.coach_id
             WHERE calendar.calendar_id = p_calendar
             GROUP BY calendar.calendar_id) AS team
     WHERE member.calendar_id = team.calendar_id AND coach.coach_id = member.coach_id;
END;
