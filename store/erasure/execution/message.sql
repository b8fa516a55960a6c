-- One message, as the tenant's erase role, alone under the tenant's lock (PRIVACY.md section 3, *One message*).

-- One step for each request: its subject is the request itself, for nobody may know who sent what is gone already.
-- name: step
INSERT INTO "{schema}".erasure_step (request_id, subject_id, erased_through_gen, executed_at)
VALUES ($1, $1, 0, clock_timestamp()) ON CONFLICT DO NOTHING RETURNING executed_at;

-- What keeps it out when it comes later, or again: no content. $2: how long.
-- name: add_tombstone
INSERT INTO "{schema}".tombstone AS t (kind, ref, expires_at) VALUES ('r', $1, clock_timestamp() + $2::interval)
ON CONFLICT (kind, ref) DO UPDATE SET expires_at = greatest(t.expires_at, excluded.expires_at);

-- Every row with the ref but those of the types $3. The mark stands in the same transaction as the delete: a flip that came
-- between the two would leave the old copy's key alive.
-- name: erase
WITH gone AS (
    DELETE FROM "{schema}".message WHERE message_ref = $2 AND event_type <> ALL ($3::text[]) RETURNING subject_id
), marked AS (
    UPDATE "{schema}".subject SET rekey = true
    WHERE subject_id IN (SELECT subject_id FROM gone) AND wrapped_dek IS NOT NULL AND NOT rekey
    RETURNING subject_id
), counted AS (
    UPDATE "{schema}".erasure_step
    SET rows_deleted = rows_deleted + (SELECT count(*) FROM gone), deleted_at = clock_timestamp()
    WHERE request_id = $1 AND subject_id = $1
)
SELECT (SELECT count(*)::int FROM gone) AS rows, (SELECT count(*)::int FROM marked) AS marked;

-- name: keep_fence
UPDATE "{schema}".erasure_step SET fence = $2 WHERE request_id = $1 AND subject_id = $1;
