-- What one account brought, as the tenant's erase role (PRIVACY.md section 3, *One account*).

-- The account, if it is this tenant's. As the login.
-- name: account
SELECT 1 FROM mk.account WHERE account_id = $1 AND tenant_id = $2;

-- The request's own step: its subject is the request itself.
-- name: step
INSERT INTO "{schema}".erasure_step (request_id, subject_id, erased_through_gen, executed_at)
VALUES ($1, $1, 0, clock_timestamp()) ON CONFLICT DO NOTHING RETURNING executed_at;

-- name: keep_fence
UPDATE "{schema}".erasure_step SET fence = $2 WHERE request_id = $1 AND subject_id = $1;

-- The account's rows in order of their ids, from $2 on.
-- name: page
SELECT id, subject_id FROM "{schema}".message WHERE account_id = $1 AND id > $2 ORDER BY id LIMIT $3;

-- Alone under the lock. Of the subjects $2 those who have rows of no other account than $3: their key goes. No watermark: what
-- other accounts still bring of them is live, and of this one control lets nothing in any more.
-- name: erase_subjects
WITH given AS (
    SELECT s.subject_id, s.generation FROM "{schema}".subject s
    WHERE s.subject_id = ANY ($2::uuid[]) AND s.wrapped_dek IS NOT NULL AND NOT EXISTS (
        SELECT FROM "{schema}".message m
        WHERE m.subject_id = s.subject_id AND m.account_id <> $3 AND m.generation > s.erased_through_gen)
), step AS (
    INSERT INTO "{schema}".erasure_step (request_id, subject_id, erased_through_gen, executed_at, deleted_at)
    SELECT $1, subject_id, generation, clock_timestamp(), clock_timestamp() FROM given ORDER BY subject_id
    ON CONFLICT (request_id, subject_id) DO NOTHING
    RETURNING subject_id, erased_through_gen
), erased AS (
    UPDATE "{schema}".subject s
    SET generation = s.generation + 1, erased_through_gen = step.erased_through_gen, wrapped_dek = NULL, dek_epoch = NULL,
        rekey = false, rekey_from = NULL, rekey_from_gen = NULL, rekey_from_epoch = NULL
    FROM step WHERE s.subject_id = step.subject_id
)
SELECT subject_id, erased_through_gen::int FROM step ORDER BY subject_id;

-- Who has a key left has rows of other accounts: marked in the transaction that deletes.
-- name: delete_page
WITH gone AS (
    DELETE FROM "{schema}".message WHERE id = ANY ($2::uuid[]) AND account_id = $3 RETURNING subject_id
), marked AS (
    UPDATE "{schema}".subject SET rekey = true
    WHERE subject_id IN (SELECT subject_id FROM gone) AND wrapped_dek IS NOT NULL AND NOT rekey
), counted AS (
    UPDATE "{schema}".erasure_step SET rows_deleted = rows_deleted + (SELECT count(*) FROM gone)
    WHERE request_id = $1 AND subject_id = $1
)
SELECT count(*)::int FROM gone;

-- name: deleted
UPDATE "{schema}".erasure_step SET deleted_at = clock_timestamp()
WHERE request_id = $1 AND subject_id = $1 AND deleted_at IS NULL;

-- name: is_deleted
SELECT deleted_at IS NOT NULL FROM "{schema}".erasure_step WHERE request_id = $1 AND subject_id = $1;
