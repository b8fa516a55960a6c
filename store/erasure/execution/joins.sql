-- Joins that lanes asked for: somebody turned out to be the same person as somebody who was erased.

-- Taken and made a job in one transaction.
-- name: take
DELETE FROM "{schema}".join_request
WHERE id IN (SELECT id FROM "{schema}".join_request ORDER BY id LIMIT $1)
RETURNING event_id, kept, joined, created_at;

-- name: aliases
SELECT pseudonym FROM "{schema}".alias WHERE subject_id = ANY ($1::uuid[]) ORDER BY pseudonym;

-- As the login. `received` is not told yet: the driver tells it.
-- name: admit
INSERT INTO mk.erasure_request (request_id, tenant_id, kind, origin, asked_by, pseudonyms, requested_at, received_at)
VALUES ($1, $2, 'subject', 'join', 'store', $3, $4, $4) ON CONFLICT (request_id) DO NOTHING RETURNING 1;

-- name: owners
SELECT DISTINCT subject_id FROM "{schema}".alias WHERE pseudonym = ANY ($1::bytea[]);

-- Everybody that same_person joins to the subjects in $1, and those themselves, with the strictest of their fences.
-- name: joined
WITH RECURSIVE reached (subject_id) AS (
    SELECT unnest($1::uuid[])
    UNION
    SELECT next.subject_id
    FROM reached CROSS JOIN LATERAL (
        SELECT p.high AS subject_id FROM "{schema}".same_person p WHERE p.low = reached.subject_id
        UNION ALL
        SELECT p.low FROM "{schema}".same_person p WHERE p.high = reached.subject_id
    ) next
)
SELECT array_agg(s.subject_id ORDER BY s.subject_id) AS subjects, max(s.watermark) AS watermark, max(s.executed_at) AS executed_at
FROM reached JOIN "{schema}".subject s USING (subject_id);

-- Whoever of the subjects $2 has a laxer fence gets the strictest: watermark $3, execution $4. $5: the first dated id, $6: the
-- first id later than the watermark's second. Who has nothing later loses the key at once; who has, keeps it until the rest
-- is rewritten under another (`rekey`).
-- name: inherit
WITH given AS (
    SELECT s.subject_id, CASE WHEN s.wrapped_dek IS NULL OR EXISTS (
        SELECT FROM "{schema}".message m
        WHERE m.subject_id = s.subject_id AND m.generation > s.erased_through_gen
          AND NOT (m.id >= $5 AND m.id < $6) AND m.received_at > $4) THEN 0 ELSE s.generation END AS through
    FROM "{schema}".subject s
    WHERE s.subject_id = ANY ($2::uuid[]) AND (s.watermark IS DISTINCT FROM $3 OR s.executed_at IS DISTINCT FROM $4)
), step AS (
    INSERT INTO "{schema}".erasure_step (request_id, subject_id, erased_through_gen, watermark, executed_at)
    SELECT $1, subject_id, through, $3, $4 FROM given ORDER BY subject_id
    ON CONFLICT (request_id, subject_id) DO NOTHING
    RETURNING subject_id, erased_through_gen
), inherited AS (
    UPDATE "{schema}".subject s SET watermark = $3, executed_at = $4 FROM step
    WHERE s.subject_id = step.subject_id AND step.erased_through_gen = 0
), erased AS (
    UPDATE "{schema}".subject s
    SET watermark = $3, executed_at = $4, generation = s.generation + 1, erased_through_gen = step.erased_through_gen,
        wrapped_dek = NULL, dek_epoch = NULL, rekey = false, rekey_from = NULL, rekey_from_gen = NULL, rekey_from_epoch = NULL
    FROM step WHERE s.subject_id = step.subject_id AND step.erased_through_gen > 0
)
SELECT subject_id, erased_through_gen::int FROM step ORDER BY subject_id;

-- Undated rows that go: their tombstones are all that keeps them from coming again. $2: the first dated id, $3: the execution.
-- name: undated
SELECT subject_id, uuid_send(id) AS ref FROM "{schema}".message
WHERE subject_id = ANY ($1::uuid[]) AND id < $2 AND received_at <= $3 ORDER BY subject_id, id;

-- Refs of what was written in the rows that go, for the fence.
-- name: written_refs
SELECT DISTINCT message_ref FROM "{schema}".message
WHERE subject_id = $1 AND ((id >= $2 AND id < $3) OR received_at <= $4) AND message_ref IS NOT NULL
  AND event_type = ANY ($5::text[]);

-- Rows that are not strictly later, some at a time; who keeps a key is marked in the transaction that deletes, and refs of what was
-- written ($8: of which types) leave tombstones for as long as $7.
-- name: delete_earlier
WITH doomed AS (
    SELECT id FROM "{schema}".message
    WHERE subject_id = $2 AND ((id >= $3 AND id < $4) OR received_at <= $5) LIMIT $6
), gone AS (
    DELETE FROM "{schema}".message m USING doomed WHERE m.id = doomed.id RETURNING m.message_ref, m.event_type
), marked AS (
    UPDATE "{schema}".subject SET rekey = true
    WHERE subject_id = $2 AND wrapped_dek IS NOT NULL AND NOT rekey AND EXISTS (SELECT FROM gone)
), counted AS (
    UPDATE "{schema}".erasure_step SET rows_deleted = rows_deleted + (SELECT count(*) FROM gone)
    WHERE request_id = $1 AND subject_id = $2
), stones AS (
    INSERT INTO "{schema}".tombstone AS t (kind, ref, expires_at)
    SELECT 'n', message_ref, clock_timestamp() + $7::interval
    FROM (SELECT DISTINCT message_ref FROM gone WHERE message_ref IS NOT NULL AND event_type = ANY ($8::text[])) refs
    ORDER BY message_ref
    ON CONFLICT (kind, ref) DO UPDATE SET expires_at = greatest(t.expires_at, excluded.expires_at)
)
SELECT count(*)::int FROM gone;

-- name: aliases_of
SELECT subject_id, pseudonym FROM "{schema}".alias WHERE subject_id = ANY ($1::uuid[]) ORDER BY subject_id, pseudonym;

-- $2: how long.
-- name: add_tombstones
INSERT INTO "{schema}".tombstone AS t (kind, ref, expires_at)
SELECT 'e', ref, clock_timestamp() + $2::interval FROM unnest($1::bytea[]) AS given (ref) ORDER BY ref
ON CONFLICT (kind, ref) DO UPDATE SET expires_at = greatest(t.expires_at, excluded.expires_at);

-- name: keep_fences
UPDATE "{schema}".erasure_step e SET fence = given.fence
FROM unnest($2::uuid[], $3::bytea[]) AS given (subject_id, fence)
WHERE e.request_id = $1 AND e.subject_id = given.subject_id;

-- name: deleted
UPDATE "{schema}".erasure_step SET deleted_at = clock_timestamp()
WHERE request_id = $1 AND subject_id = $2 AND deleted_at IS NULL;
