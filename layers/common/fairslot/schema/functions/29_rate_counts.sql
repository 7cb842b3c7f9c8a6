-- Rate limits while Valkey does not answer, by the rule of the script in access/limits.py: docs/decisions/0122.

-- Locks a count, moves its window to an instant, and returns whether it allows more, how many more are, and in how many seconds
-- there is room for another. What was counted in the minute before counts by the share of it that the window still covers.
CREATE OR REPLACE FUNCTION engine.rate_window(
    p_name text, p_limit integer, p_at timestamptz, OUT allowed boolean, OUT remaining integer, OUT reset integer
) LANGUAGE plpgsql AS $$
DECLARE
    c_minute CONSTANT interval := interval '1 minute';
    k        rate_counts;
    v_left   numeric;
BEGIN
    INSERT INTO rate_counts AS known (name, begun, count, before) VALUES (p_name, p_at, 0, 0)
    ON CONFLICT (name) DO UPDATE
       SET begun = CASE WHEN p_at >= known.begun + 2 * c_minute THEN p_at
                        WHEN p_at >= known.begun + c_minute THEN known.begun + c_minute
                        ELSE known.begun END,
           count = CASE WHEN p_at >= known.begun + c_minute THEN 0 ELSE known.count END,
           before = CASE WHEN p_at >= known.begun + 2 * c_minute THEN 0
                         WHEN p_at >= known.begun + c_minute THEN known.count
                         ELSE known.before END
    RETURNING * INTO k;
    -- An instant from before the wait for the lock may be before the window's beginning.
    v_left := least(60, extract(epoch FROM k.begun + c_minute - p_at));
    remaining := greatest(0, p_limit - k.count - floor(k.before * v_left / 60)::integer);
    allowed := remaining > 0;
    reset := greatest(1, ceil(CASE WHEN k.before > 0 THEN mod(v_left, 60.0 / k.before) ELSE v_left END));
END $$;

-- Counts p_by (0: only asks) against a limit a minute and, with an address, against its limit; only if both allow it is either
-- counted. `of_address` tells whether it was the address that did not. The address is locked last.
CREATE OR REPLACE FUNCTION engine.count_request(
    p_name text, p_limit integer, p_by integer, p_address text, p_address_limit integer,
    OUT allowed boolean, OUT remaining integer, OUT reset integer, OUT of_address boolean
) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_at      timestamptz := clock_timestamp();
    v_address record;
BEGIN
    of_address := false;
    SELECT w.* INTO allowed, remaining, reset FROM engine.rate_window(p_name => p_name, p_limit => p_limit, p_at => v_at) AS w;
    IF allowed AND p_address IS NOT NULL THEN
        SELECT * INTO v_address FROM engine.rate_window(p_name => p_address, p_limit => p_address_limit, p_at => v_at);
        IF NOT v_address.allowed THEN
            allowed := false;
            remaining := 0;
            reset := v_address.reset;
            of_address := true;
        END IF;
    END IF;
    IF allowed AND p_by > 0 THEN
        UPDATE rate_counts SET count = count + p_by WHERE name IN (p_name, p_address);
        remaining := greatest(0, remaining - p_by);
    END IF;
END $$;

-- Forgets the counts that no window covers any more, except those that are being counted.
CREATE OR REPLACE FUNCTION engine.forget_rate_counts() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    DELETE FROM rate_counts
     WHERE name IN (SELECT name FROM rate_counts WHERE begun < clock_timestamp() - interval '2 minutes'
                       FOR UPDATE SKIP LOCKED);
$$;
