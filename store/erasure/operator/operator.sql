-- What the operator's commands read and write of requests, as mk_custodian; {schema} as mk_owner.

-- Open ones, then the youngest of those that are over; what held up one that is over is no failure any more.
-- name: requests
SELECT request_id, t.name AS tenant, kind, origin, r.asked_by, r.state, told_state, reason, r.requested_at, received_at, due_on,
       execute_after, approved_by, executed_at, live_erased_at, irrecoverable_on, answered_at, attempts,
       CASE WHEN r.state NOT IN ('answered', 'refused') THEN failed END AS failed
FROM mk.erasure_request r LEFT JOIN mk.tenant t USING (tenant_id)
WHERE $1::uuid IS NULL OR r.tenant_id = $1
ORDER BY r.state IN ('answered', 'refused'), received_at DESC LIMIT $2;

-- name: request
SELECT request_id, t.name AS tenant, tenant_id, t.schema_name, kind, origin, r.asked_by, r.state, told_state, reason,
       r.requested_at, received_at, due_on, execute_after, approved_by, executed_at, live_erased_at, irrecoverable_on,
       answered_at, attempts, CASE WHEN r.state NOT IN ('answered', 'refused') THEN failed END AS failed,
       pseudonyms <> '{}' AS names_somebody
FROM mk.erasure_request r LEFT JOIN mk.tenant t USING (tenant_id) WHERE request_id = $1;

-- name: steps
SELECT count(*)::int AS steps, coalesce(sum(rows_deleted), 0)::bigint AS rows_deleted,
       count(*) FILTER (WHERE fence IS NOT NULL AND fence_published_at IS NULL)::int AS fences_unpublished,
       min(executed_at) AS executed_at
FROM {schema}.erasure_step WHERE request_id = $1;

-- Lanes that have not passed what was on the topic at the fence. Older rows say no slot: they mean that of the tenant $2.
-- name: waits
SELECT w.partition, w.end_offset, coalesce(l.position, 0) AS position
FROM (
    SELECT partition, end_offset, coalesce(slot, (SELECT s.slot FROM mk.slot s WHERE s.tenant_id = $2)) AS slot
    FROM {schema}.erasure_wait WHERE request_id = $1
) w LEFT JOIN {schema}.lane l ON l.partition = w.partition AND l.slot = w.slot
WHERE coalesce(l.position, 0) < w.end_offset
  AND NOT EXISTS (SELECT FROM mk.slot s WHERE s.slot = w.slot AND s.state = 'retired')
ORDER BY w.partition;

-- Whom `subject.erased` was said to, and what became of it; null: it is waited for.
-- name: readers
SELECT n.grant_id, g.reader, n.told_at, n.settled FROM mk.reader_notice n JOIN mk.reader_grant g USING (grant_id)
WHERE n.request_id = $1 ORDER BY n.told_at, g.reader;

-- What a request is of that has this id already.
-- name: asked_as
SELECT tenant_id, kind, origin FROM mk.erasure_request WHERE request_id = $1;

-- `operator`: who gave the command that this request came from, if an operator did.
-- name: waiting_for_approval
SELECT r.tenant_id, a.disconnected_by AS operator FROM mk.erasure_request r LEFT JOIN mk.account a USING (account_id)
WHERE r.request_id = $1 AND r.kind = 'account' AND r.state IN ('received', 'identity_pending', 'decided')
  AND r.approved_by IS NULL FOR UPDATE OF r;

-- name: approve
UPDATE mk.erasure_request SET approved_by = $2, next_attempt_at = clock_timestamp() WHERE request_id = $1;

-- name: wake_erasure
SELECT pg_notify('mk_erasure', '');
