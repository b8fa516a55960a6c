-- What one account brought, as the tenant's erase role (PRIVACY.md section 3, *One account*).

-- The account, if it is this tenant's. As the login.
-- name: account
SELECT 1 FROM mk.account WHERE account_id = $1 AND tenant_id = $2;

-- The request's own step: its subject is the request itself. With the account's tombstone, for as long as $3: an account's id is
-- never given again, and no lane stores anything of it from here on, whatever it has heard of control.
-- name: step
WITH step AS (
    INSERT INTO "{schema}".erasure_step (request_id, subject_id, erased_through_gen, executed_at)
    VALUES ($1, $1, 0, clock_timestamp()) ON CONFLICT DO NOTHING RETURNING executed_at
), stone AS (
    INSERT INTO "{schema}".tombstone AS t (kind, ref, expires_at)
    SELECT 'a', uuid_send($2::uuid), executed_at + $3::interval FROM step
    ON CONFLICT (kind, ref) DO UPDATE SET expires_at = greatest(t.expires_at, excluded.expires_at)
)
SELECT executed_at FROM step;

-- name: keep_fence
UPDATE "{schema}".erasure_step SET fence = $2 WHERE request_id = $1 AND subject_id = $1;

-- The account's rows in order of their ids, from $2 on.
-- name: page
SELECT id, subject_id FROM "{schema}".message WHERE account_id = $1 AND id > $2 ORDER BY id LIMIT $3;

-- Alone under the lock. Of the subjects $1 those who have rows of no other account than $2: their key goes. No watermark: what
-- other accounts still bring of them is live, and of this one control lets nothing in any more. Whoever came back since has
-- rows of another account, so that to do it again does no harm.
-- name: erase_subjects
WITH erased AS (
    UPDATE "{schema}".subject s
    SET generation = s.generation + 1, erased_through_gen = s.generation, wrapped_dek = NULL, dek_epoch = NULL,
        rekey = false, rekey_from = NULL, rekey_from_gen = NULL, rekey_from_epoch = NULL, key_lost_at = clock_timestamp()
    WHERE s.subject_id = ANY ($1::uuid[]) AND s.wrapped_dek IS NOT NULL AND NOT EXISTS (
        SELECT FROM "{schema}".message m
        WHERE m.subject_id = s.subject_id AND m.account_id <> $2 AND m.generation > s.erased_through_gen)
    RETURNING 1
)
SELECT count(*)::int FROM erased;

-- As the login: for the receipt. There may be very many subjects, so there is no step for each.
-- name: count_keys
UPDATE mk.erasure_request SET counts = counts || jsonb_build_object('keys', coalesce((counts ->> 'keys')::bigint, 0) + $2::bigint)
WHERE request_id = $1;

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
