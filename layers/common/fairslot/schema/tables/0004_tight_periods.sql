-- What a page reads of coaches' weeks and months: docs/decisions/0094. It only expands; triggers fill and keep it
-- (../functions/22_periods.sql).

CREATE TABLE tight_periods (
    coach_id      text NOT NULL REFERENCES coaches ON DELETE CASCADE,
    first_slot    integer NOT NULL,
    kind          text NOT NULL,
    end_slot      integer NOT NULL,
    minutes_left  integer NOT NULL,
    PRIMARY KEY (coach_id, first_slot, kind)
);
COMMENT ON TABLE tight_periods IS
    'The rows of coach_periods that do not admit every appointment: those with fewer minutes left than the longest one has.';
COMMENT ON COLUMN tight_periods.minutes_left IS 'no longer appointment is admitted; 0: none is';
