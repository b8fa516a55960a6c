-- The status page of an erasure (login mk_desk): one question, by the hash of a confirmation code. Expand only.

SET ROLE mk_owner;

-- What may be said of a request to whoever holds its code. For 96 hours every request is "processing", whatever became of
-- it: a known person's ends after 72 hours of restriction at the earliest, an unknown one's at once, and nobody shall
-- tell the two apart, not even who has taken over the desk. A function and not a view: without a code there is no row.
-- $1: SHA-256 of the code.
CREATE FUNCTION mk.erasure_page(bytea)
RETURNS TABLE (stage text, reason text, received_at timestamptz, due_on date, ended_at timestamptz,
    irrecoverable_on date)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
BEGIN ATOMIC
    SELECT s.stage, CASE WHEN s.stage = 'refused' THEN r.reason END, r.received_at, r.due_on, s.ended_at,
        CASE WHEN s.stage = 'completed' THEN greatest(r.irrecoverable_on, (s.ended_at AT TIME ZONE 'UTC')::date + 15) END
    FROM mk.erasure_code c JOIN mk.erasure_request r USING (request_id)
    CROSS JOIN LATERAL (
        SELECT CASE WHEN clock_timestamp() >= r.received_at + interval '96 hours' THEN
                   CASE r.state WHEN 'answered' THEN 'completed' WHEN 'refused' THEN 'refused' END END,
               greatest(r.answered_at, r.received_at + interval '96 hours')
    ) l (ended, ended_at)
    CROSS JOIN LATERAL (
        SELECT coalesce(l.ended, 'processing'), CASE WHEN l.ended IS NOT NULL THEN l.ended_at END
    ) s (stage, ended_at)
    WHERE c.code_sha256 = $1;
END;

REVOKE ALL ON FUNCTION mk.erasure_page(bytea) FROM PUBLIC;
GRANT USAGE ON SCHEMA mk TO mk_desk;
GRANT SELECT ON mk.migration TO mk_desk;
GRANT EXECUTE ON FUNCTION mk.erasure_page(bytea) TO mk_desk;
RESET ROLE;
