-- Job rows (mk.erasure_request) and how far requests were read, as the login mk_erasure. A state is changed only from one
-- that lies before it, so whoever is late, killed or doubled changes nothing.

-- The session lock of whoever acts as the erasure consumer.
-- name: try_acting
SELECT pg_try_advisory_lock($1);

-- name: listen
LISTEN mk_erasure;

-- name: position
SELECT next_offset FROM mk.erasure_position WHERE partition = $1;

-- $2 the next offset to read, $3 the one that was read from: no row comes back when another process moved it.
-- name: move_position
INSERT INTO mk.erasure_position AS p (partition, next_offset) VALUES ($1, $2)
ON CONFLICT (partition) DO UPDATE SET next_offset = excluded.next_offset WHERE p.next_offset = $3 RETURNING 1;

-- After a restore the row begins where the outcomes topic was told that it is (mk.begin_where_told).
-- name: admit
INSERT INTO mk.erasure_request (request_id, tenant_id, kind, origin, asked_by, account_id, message_ref, pseudonyms, details,
                                requested_at, received_at, told_state)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'received') ON CONFLICT (request_id) DO NOTHING RETURNING state;

-- A row of that id is the same request's, not another's that took its id.
-- name: is_same
SELECT EXISTS (
    SELECT FROM mk.erasure_request
    WHERE request_id = $1 AND tenant_id IS NOT DISTINCT FROM $2 AND kind = $3 AND account_id IS NOT DISTINCT FROM $4
      AND message_ref IS NOT DISTINCT FROM $5);

-- name: add_code
INSERT INTO mk.erasure_code (code_sha256, request_id) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: job
SELECT request_id, tenant_id, kind, origin, asked_by, state, told_state, reason, account_id, message_ref, pseudonyms, details,
       requested_at, received_at, due_on, execute_after, execute_after <= clock_timestamp() AS is_due, approved_by, decided_at,
       executed_at, live_erased_at, irrecoverable_on, answered_at, counts, receipt, attempts, failed
FROM mk.erasure_request WHERE request_id = $1;

-- The predicate is that of the index erasure_request_open.
-- name: due
SELECT request_id FROM mk.erasure_request
WHERE (state NOT IN ('answered', 'refused') OR told_state IS DISTINCT FROM state) AND next_attempt_at <= clock_timestamp()
ORDER BY next_attempt_at LIMIT $1;

-- name: seconds_to_next
SELECT extract(epoch FROM min(next_attempt_at) - clock_timestamp())::float8 FROM mk.erasure_request
WHERE (state NOT IN ('answered', 'refused') OR told_state IS DISTINCT FROM state);

-- name: told
UPDATE mk.erasure_request SET told_state = $2 WHERE request_id = $1 AND state = $2;

-- $2: effects on a whole account wait until then, unless somebody approved them.
-- name: decide
UPDATE mk.erasure_request SET state = 'decided', decided_at = clock_timestamp(), execute_after = $2, due_on = $3
WHERE request_id = $1 AND state IN ('received', 'identity_pending') RETURNING 1;

-- name: refuse
UPDATE mk.erasure_request SET state = 'refused', reason = $2, decided_at = clock_timestamp()
WHERE request_id = $1 AND state IN ('received', 'identity_pending', 'decided') RETURNING 1;

-- Only what `decided` was told of executes. The first execution is the one whose time counts.
-- name: execute
UPDATE mk.erasure_request SET state = 'executing', executed_at = coalesce(executed_at, clock_timestamp())
WHERE request_id = $1 AND state = 'decided' AND told_state = 'decided' RETURNING 1;

-- name: live_erased
UPDATE mk.erasure_request SET state = 'live_erased', live_erased_at = clock_timestamp()
WHERE request_id = $1 AND state = 'executing' RETURNING 1;

-- name: answered
UPDATE mk.erasure_request SET state = 'answered', answered_at = clock_timestamp(), receipt = $2, irrecoverable_on = $3
WHERE request_id = $1 AND state = 'live_erased' RETURNING 1;

-- $2 seconds, $3 the error's code or null.
-- name: postpone
UPDATE mk.erasure_request
SET next_attempt_at = clock_timestamp() + make_interval(secs => $2), failed = $3,
    attempts = CASE WHEN $3::text IS NULL THEN 0 ELSE attempts + 1 END
WHERE request_id = $1;

-- name: open_by_state
SELECT kind, state, count(*)::int AS count FROM mk.erasure_request
WHERE (state NOT IN ('answered', 'refused') OR told_state IS DISTINCT FROM state) GROUP BY kind, state;

-- Days until the answer is due, as the labels of mk_erasure_requests_at_risk.
-- name: open_by_days_left
SELECT CASE WHEN due_on IS NULL THEN 'none' WHEN due_on < current_date THEN 'overdue'
            WHEN due_on - current_date <= 3 THEN '3' WHEN due_on - current_date <= 7 THEN '7'
            WHEN due_on - current_date <= 15 THEN '15' ELSE 'more' END AS days,
       count(*)::int AS count
FROM mk.erasure_request
WHERE (state NOT IN ('answered', 'refused') OR told_state IS DISTINCT FROM state) GROUP BY 1;

-- name: oldest_waiting
SELECT extract(epoch FROM clock_timestamp() - min(executed_at))::float8 FROM mk.erasure_request
WHERE (state NOT IN ('answered', 'refused') OR told_state IS DISTINCT FROM state) AND state = 'executing';

-- name: database_time
SELECT clock_timestamp();
