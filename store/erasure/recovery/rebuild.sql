-- How far the outcomes topic was read back, and what is taken from it, as the login.

-- name: positions
SELECT partition, topic_id, next_offset FROM mk.outcome_position

-- name: move
INSERT INTO mk.outcome_position (partition, topic_id, next_offset) VALUES ($1, $2, $3)
ON CONFLICT (partition) DO UPDATE SET topic_id = excluded.topic_id, next_offset = excluded.next_offset

-- A row that this database has, in one of the states $10 that come before $2. A row that is there and further is left alone.
-- When it was decided, $5, older code did not tell.
-- name: forward
UPDATE mk.erasure_request SET state = $2::text, told_state = $2::text, reason = $6, due_on = coalesce($7, due_on),
    irrecoverable_on = $8, receipt = $9, decided_at = coalesce($5::timestamptz, decided_at, $4::timestamptz, $3::timestamptz),
    executed_at = coalesce($4, executed_at),
    live_erased_at = CASE WHEN $2::text IN ('live_erased', 'answered') THEN coalesce(live_erased_at, $3) END,
    answered_at = CASE WHEN $2::text = 'answered' THEN $3 END, next_attempt_at = clock_timestamp(), failed = NULL, attempts = 0
WHERE request_id = $1 AND state = ANY ($10)

-- A row that is not here yet: it begins there once its request record was read again.
-- name: remember
INSERT INTO mk.erasure_told AS told
    (request_id, state, reached_at, executed_at, decided_at, reason, due_on, irrecoverable_on, receipt)
SELECT $1::uuid, $2::text, $3::timestamptz, $4::timestamptz, $5::timestamptz, $6::text, $7::date, $8::date, $9::text
WHERE NOT EXISTS (SELECT FROM mk.erasure_request WHERE request_id = $1)
ON CONFLICT (request_id) DO UPDATE SET state = excluded.state, reached_at = excluded.reached_at,
    executed_at = coalesce(excluded.executed_at, told.executed_at), decided_at = coalesce(excluded.decided_at, told.decided_at),
    reason = excluded.reason, due_on = excluded.due_on, irrecoverable_on = excluded.irrecoverable_on, receipt = excluded.receipt
WHERE told.state = ANY ($10)
