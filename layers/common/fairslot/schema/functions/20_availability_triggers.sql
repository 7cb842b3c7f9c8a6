-- Notes that a calendar requires other attributes of its team.
CREATE OR REPLACE FUNCTION engine.note_requires() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO availability_changes (calendar_id) VALUES (NEW.calendar_id);
    RETURN NULL;
END $$;

-- The triggers that note what changes availability. They are made once: making one again would wait for every transaction
-- that changes days, and have the next ones wait.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'coach_slots'::regclass AND tgname = 'note_day') THEN
        CREATE TRIGGER note_day AFTER UPDATE ON coach_slots FOR EACH ROW EXECUTE FUNCTION engine.note_day();
        CREATE TRIGGER note_inserted_days AFTER INSERT ON coach_slots REFERENCING NEW TABLE AS days
            FOR EACH STATEMENT EXECUTE FUNCTION engine.note_days();
        CREATE TRIGGER note_deleted_days AFTER DELETE ON coach_slots REFERENCING OLD TABLE AS days
            FOR EACH STATEMENT EXECUTE FUNCTION engine.note_days();
        CREATE TRIGGER void_availability AFTER TRUNCATE ON coach_slots
            FOR EACH STATEMENT EXECUTE FUNCTION engine.void_availability();
        CREATE TRIGGER void_availability AFTER TRUNCATE ON coach_calendars
            FOR EACH STATEMENT EXECUTE FUNCTION engine.void_availability();
        CREATE TRIGGER refuse_moved_day BEFORE UPDATE OF coach_id, first_slot, slot_count ON coach_slots
            FOR EACH STATEMENT EXECUTE FUNCTION engine.refuse_moved_day();
        CREATE TRIGGER note_reading AFTER INSERT OR UPDATE OF synced_at, failures ON coach_syncs
            FOR EACH ROW EXECUTE FUNCTION engine.note_reading();
        CREATE TRIGGER note_coach
            AFTER UPDATE OF active, calendar_kind, buffer_before, buffer_after, min_notice_minutes, attributes ON coaches
            FOR EACH ROW WHEN (
                (OLD.active, OLD.calendar_kind, OLD.buffer_before, OLD.buffer_after, OLD.min_notice_minutes, OLD.attributes)
                IS DISTINCT FROM
                (NEW.active, NEW.calendar_kind, NEW.buffer_before, NEW.buffer_after, NEW.min_notice_minutes, NEW.attributes))
            EXECUTE FUNCTION engine.note_coach();
        CREATE TRIGGER note_requires AFTER UPDATE OF requires ON calendars
            FOR EACH ROW WHEN (OLD.requires IS DISTINCT FROM NEW.requires) EXECUTE FUNCTION engine.note_requires();
        CREATE TRIGGER note_team AFTER INSERT OR DELETE OR UPDATE OF calendar_id, coach_id, buffer_before, buffer_after,
            min_notice_minutes ON coach_calendars FOR EACH ROW EXECUTE FUNCTION engine.note_team();
        CREATE TRIGGER note_inserted_periods AFTER INSERT ON coach_periods REFERENCING NEW TABLE AS periods
            FOR EACH STATEMENT EXECUTE FUNCTION engine.note_periods();
        CREATE TRIGGER note_deleted_periods AFTER DELETE ON coach_periods REFERENCING OLD TABLE AS periods
            FOR EACH STATEMENT EXECUTE FUNCTION engine.note_periods();
    END IF;
END $$;
