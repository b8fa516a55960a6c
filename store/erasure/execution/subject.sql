-- The protocol for a person (PRIVACY.md section 3), as the tenant's erase role, alone under the tenant's lock: each statement
-- here is a later one than the lock's own.

-- Whose each pseudonym is (null: nobody's), whether that one is linked, and the moment: the time is read under the lock, since
-- a watermark chosen before it would lose what was written while it was waited for. first_executed_at: when this request took
-- effect before, if it did. One row for each pseudonym, so that nothing more is asked while writers wait.
-- name: owners
SELECT given.pseudonym, a.subject_id,
       EXISTS (SELECT FROM "{schema}".same_person p WHERE p.low = a.subject_id)
           OR EXISTS (SELECT FROM "{schema}".same_person p WHERE p.high = a.subject_id) AS linked,
       clock_timestamp() AS now,
       (SELECT min(executed_at) FROM "{schema}".erasure_step WHERE request_id = $1) AS first_executed_at
FROM unnest($2::bytea[]) WITH ORDINALITY AS given (pseudonym, number)
LEFT JOIN "{schema}".alias a ON a.pseudonym = given.pseudonym
ORDER BY given.number;

-- name: add_stub
INSERT INTO "{schema}".subject (subject_id) VALUES ($1);

-- name: add_aliases
INSERT INTO "{schema}".alias (pseudonym, subject_id)
SELECT pseudonym, $2 FROM unnest($1::bytea[]) AS given (pseudonym) ORDER BY pseudonym;

-- name: add_links
INSERT INTO "{schema}".same_person (low, high)
SELECT least($1::uuid, other), greatest($1::uuid, other) FROM unnest($2::uuid[]) AS given (other) ORDER BY other
ON CONFLICT DO NOTHING;

-- Everybody that same_person joins to the subjects in $1, and those themselves. $2: a request that took effect before goes no
-- further than it could have then, or what a person wrote since under a new name would go too.
-- name: linked
WITH RECURSIVE reached (subject_id) AS (
    SELECT unnest($1::uuid[])
    UNION
    SELECT next.subject_id
    FROM reached CROSS JOIN LATERAL (
        SELECT p.high AS subject_id, p.created_at FROM "{schema}".same_person p WHERE p.low = reached.subject_id
        UNION ALL
        SELECT p.low, p.created_at FROM "{schema}".same_person p WHERE p.high = reached.subject_id
    ) next
    WHERE $2::timestamptz IS NULL OR next.created_at <= $2
)
SELECT subject_id FROM reached ORDER BY subject_id;

-- One row for each subject on which this request takes effect now; one that it took effect on before gets none: no row, no
-- effect. $3: the moment; $4: the first event id of its second; $5: from there to the latest time that the broker's clock can
-- have shown then, which is what receipts are judged by; $6: what the watermark is later, so that what is strictly later than its
-- second was also received later (store.erasure.clocks). The watermark is not earlier than any event of the
-- subject, nor than the one it had: a clock that went back opens nothing.
-- name: erase
WITH given AS (
    SELECT s.subject_id, s.generation, greatest(s.executed_at, $3) AS executed_at,
           greatest(s.executed_at, $3 + $5::interval) AS received_until,
           greatest(s.watermark, $3 + $6::interval, to_timestamp(('x' || left(replace(newest.id::text, '-', ''), 12))::bit(48)::bigint / 1000.0))
               AS watermark
    FROM "{schema}".subject s
    LEFT JOIN LATERAL (
        SELECT m.id FROM "{schema}".message m WHERE m.subject_id = s.subject_id AND m.id >= $4 ORDER BY m.id DESC LIMIT 1
    ) newest ON true
    WHERE s.subject_id = ANY ($2::uuid[])
), step AS (
    INSERT INTO "{schema}".erasure_step (request_id, subject_id, erased_through_gen, watermark, executed_at)
    SELECT $1, subject_id, generation, watermark, executed_at FROM given ORDER BY subject_id
    ON CONFLICT (request_id, subject_id) DO NOTHING
    RETURNING subject_id, erased_through_gen, watermark, executed_at
), erased AS (
    UPDATE "{schema}".subject s
    SET generation = s.generation + 1, erased_through_gen = step.erased_through_gen, wrapped_dek = NULL, dek_epoch = NULL,
        rekey = false, rekey_from = NULL, rekey_from_gen = NULL, rekey_from_epoch = NULL,
        watermark = step.watermark, executed_at = given.received_until
    FROM step JOIN given USING (subject_id) WHERE s.subject_id = step.subject_id
)
SELECT subject_id, erased_through_gen::int, step.watermark, step.executed_at, received_until
FROM step JOIN given USING (subject_id) ORDER BY subject_id;

-- What the fences say of each subject: its aliases (undated: false), and ids of rows that have no time, whose tombstones are
-- all that keeps them from coming again. $2: the first dated id.
-- name: fenced_names
SELECT subject_id, pseudonym AS ref, false AS undated FROM "{schema}".alias WHERE subject_id = ANY ($1::uuid[])
UNION ALL
SELECT subject_id, uuid_send(id), true FROM "{schema}".message WHERE subject_id = ANY ($1::uuid[]) AND id < $2
ORDER BY subject_id, undated, ref;

-- name: add_tombstones
INSERT INTO "{schema}".tombstone AS t (kind, ref, expires_at)
SELECT 'e', ref, clock_timestamp() + $2::interval FROM unnest($1::bytea[]) AS given (ref) ORDER BY ref
ON CONFLICT (kind, ref) DO UPDATE SET expires_at = greatest(t.expires_at, excluded.expires_at);

-- name: keep_fences
UPDATE "{schema}".erasure_step e SET fence = given.fence
FROM unnest($2::uuid[], $3::bytea[]) AS given (subject_id, fence)
WHERE e.request_id = $1 AND e.subject_id = given.subject_id;

-- Only what the erased generations wrote: the person may be back already. Counted in the same transaction, which also leaves
-- tombstones of the refs of what was written ($6: of which types): an edit in the backlog that names nobody would else be stored for
-- the account, text and all. $5: how long.
-- name: delete_rows
WITH doomed AS (
    SELECT id FROM "{schema}".message WHERE subject_id = $2 AND generation <= $3 LIMIT $4
), gone AS (
    DELETE FROM "{schema}".message m USING doomed WHERE m.id = doomed.id RETURNING m.message_ref, m.event_type
), counted AS (
    UPDATE "{schema}".erasure_step SET rows_deleted = rows_deleted + (SELECT count(*) FROM gone)
    WHERE request_id = $1 AND subject_id = $2
), stones AS (
    INSERT INTO "{schema}".tombstone AS t (kind, ref, expires_at)
    SELECT 'n', message_ref, clock_timestamp() + $5::interval
    FROM (SELECT DISTINCT message_ref FROM gone WHERE message_ref IS NOT NULL AND event_type = ANY ($6::text[])) refs
    ORDER BY message_ref
    ON CONFLICT (kind, ref) DO UPDATE SET expires_at = greatest(t.expires_at, excluded.expires_at)
)
SELECT count(*)::int FROM gone;

-- Refs of what the erased generations wrote, for the fence.
-- name: written_refs
SELECT DISTINCT message_ref FROM "{schema}".message
WHERE subject_id = $1 AND generation <= $2 AND message_ref IS NOT NULL AND event_type = ANY ($3::text[]);

-- name: deleted
UPDATE "{schema}".erasure_step SET deleted_at = clock_timestamp()
WHERE request_id = $1 AND subject_id = $2 AND deleted_at IS NULL;
