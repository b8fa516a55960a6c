-- Deletions at Meta, as the login mk_erasure. Driven beside the requests' own jobs: neither waits for the other until the
-- receipt, which says how this ended.

-- Executed: the key is gone, and Meta may be asked.
-- name: requests
SELECT request_id, tenant_id, details FROM mk.erasure_request
WHERE details IS NOT NULL AND state IN ('executing', 'live_erased', 'answered') ORDER BY request_id LIMIT $1;

-- $2: numbers; $3: how many BSUIDs.
-- name: begin
INSERT INTO mk.meta_deletion (request_id, phone_number_id, ordinal)
SELECT $1, number, ordinal FROM unnest($2::text[]) number CROSS JOIN generate_series(0, $3::integer - 1) ordinal
ON CONFLICT DO NOTHING;

-- name: due
SELECT phone_number_id, ordinal, attempts, clock_timestamp() - coalesce(first_asked_at, clock_timestamp()) AS asked_for
FROM mk.meta_deletion WHERE request_id = $1 AND ended_at IS NULL AND next_attempt_at <= clock_timestamp()
ORDER BY phone_number_id, ordinal;

-- name: deleted
UPDATE mk.meta_deletion SET attempts = attempts + 1, status = $4, ended_at = clock_timestamp(), is_deleted = true,
    first_asked_at = coalesce(first_asked_at, clock_timestamp())
WHERE request_id = $1 AND phone_number_id = $2 AND ordinal = $3 AND ended_at IS NULL;

-- $5: seconds until it is asked again.
-- name: again
UPDATE mk.meta_deletion SET attempts = attempts + 1, status = $4,
    next_attempt_at = clock_timestamp() + make_interval(secs => $5),
    first_asked_at = coalesce(first_asked_at, clock_timestamp())
WHERE request_id = $1 AND phone_number_id = $2 AND ordinal = $3 AND ended_at IS NULL;

-- name: given_up
UPDATE mk.meta_deletion SET attempts = attempts + 1, status = $4, ended_at = clock_timestamp(), is_deleted = false,
    first_asked_at = coalesce(first_asked_at, clock_timestamp())
WHERE request_id = $1 AND phone_number_id = $2 AND ordinal = $3 AND ended_at IS NULL;

-- The details cannot be read any more.
-- name: all_given_up
UPDATE mk.meta_deletion SET ended_at = clock_timestamp(), is_deleted = false WHERE request_id = $1 AND ended_at IS NULL;

-- Once all have ended: what was kept for this goes, and the request can be answered.
-- name: forget
UPDATE mk.erasure_request SET details = NULL, next_attempt_at = clock_timestamp()
WHERE request_id = $1 AND details IS NOT NULL
  AND NOT EXISTS (SELECT FROM mk.meta_deletion WHERE request_id = $1 AND ended_at IS NULL) RETURNING 1;

-- name: forget_refused
UPDATE mk.erasure_request SET details = NULL WHERE details IS NOT NULL AND state = 'refused';

-- name: wake
SELECT pg_notify('mk_erasure', '');

-- name: ended
SELECT is_deleted, ended_at FROM mk.meta_deletion WHERE request_id = $1 AND ended_at IS NOT NULL;
