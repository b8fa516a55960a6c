-- The status page counts its 96 hours from the decision, as the restriction does; a restored database learns it from what was
-- told. Expand only.

SET ROLE mk_owner;

ALTER TABLE mk.erasure_told ADD COLUMN decided_at timestamptz;

CREATE OR REPLACE FUNCTION mk.begin_where_told() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    told mk.erasure_told;
BEGIN
    SELECT * INTO told FROM mk.erasure_told t WHERE t.request_id = NEW.request_id;
    IF FOUND THEN
        NEW.state := told.state;
        NEW.told_state := told.state;
        NEW.reason := told.reason;
        NEW.due_on := told.due_on;
        NEW.irrecoverable_on := told.irrecoverable_on;
        NEW.receipt := told.receipt;
        -- Told by older code, the time of the decision is not known.
        NEW.decided_at := coalesce(told.decided_at, told.executed_at, told.reached_at);
        NEW.executed_at := told.executed_at;
        NEW.live_erased_at := CASE WHEN told.state IN ('live_erased', 'answered') THEN told.reached_at END;
        NEW.answered_at := CASE WHEN told.state = 'answered' THEN told.reached_at END;
    END IF;
    RETURN NEW;
END
$$;

-- What may be said of a request to whoever holds its code. For 96 hours every request is "processing", whatever became of
-- it: a known person's ends after 72 hours of restriction at the earliest, an unknown one's at once, and nobody shall
-- tell the two apart, not even who has taken over the desk. Both run from the decision: made late, because erasure was
-- away, it would else be told by who ends first. What has no decision is not over. A refusal, which only somebody with data
-- here can meet, is not held up for that: its decision is the refusal itself.
-- A function and not a view: without a code there is no row. $1: SHA-256 of the code.
CREATE OR REPLACE FUNCTION mk.erasure_page(bytea)
RETURNS TABLE (stage text, reason text, received_at timestamptz, due_on date, ended_at timestamptz,
    irrecoverable_on date)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
BEGIN ATOMIC
    SELECT s.stage, CASE WHEN s.stage = 'refused' THEN r.reason END, r.received_at, r.due_on, s.ended_at,
        CASE WHEN s.stage = 'completed' THEN greatest(r.irrecoverable_on, (s.ended_at AT TIME ZONE 'UTC')::date + 15) END
    FROM mk.erasure_code c JOIN mk.erasure_request r USING (request_id)
    CROSS JOIN LATERAL (
        SELECT interval '96 hours' + CASE r.state WHEN 'refused' THEN r.received_at
                                                  ELSE greatest(r.received_at, r.decided_at) END
    ) h (shown_from)
    CROSS JOIN LATERAL (
        SELECT CASE WHEN clock_timestamp() >= h.shown_from THEN
                   CASE r.state WHEN 'answered' THEN 'completed' WHEN 'refused' THEN 'refused' END END,
               greatest(r.answered_at, h.shown_from)
    ) l (ended, ended_at)
    CROSS JOIN LATERAL (
        SELECT coalesce(l.ended, 'processing'), CASE WHEN l.ended IS NOT NULL THEN l.ended_at END
    ) s (stage, ended_at)
    WHERE c.code_sha256 = $1;
END;

RESET ROLE;
