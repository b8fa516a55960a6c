-- Whom `subject.erased` was said to, and what became of it (mk.reader_notice), as the login mk_erasure.

-- Grants that are active now. $3: where the tenant's topic ends after the notice, by partition.
-- name: note
INSERT INTO mk.reader_notice (request_id, grant_id, ends)
SELECT $1, grant_id, $3 FROM mk.reader_grant WHERE tenant_id = $2 AND ended_at IS NULL AND until > clock_timestamp()
ON CONFLICT DO NOTHING;

-- name: counts
SELECT count(*)::int AS told, count(*) FILTER (WHERE settled = 'acknowledged')::int AS acknowledged,
       count(*) FILTER (WHERE settled = 'ended')::int AS ended, count(*) FILTER (WHERE settled = 'missed')::int AS missed
FROM mk.reader_notice WHERE request_id = $1;

-- Grants with a notice that is waited for. A slot that was removed for good has no readers.
-- name: waited_for
SELECT g.grant_id, g.tenant_id, g.reader, s.slot, s.partitions,
       g.ended_at IS NOT NULL OR g.until <= clock_timestamp() OR s.slot IS NULL OR s.state = 'retired' AS is_over
FROM mk.reader_grant g LEFT JOIN mk.slot s USING (tenant_id)
WHERE EXISTS (SELECT FROM mk.reader_notice n WHERE n.grant_id = g.grant_id AND n.settled_at IS NULL)
ORDER BY g.tenant_id, g.grant_id;

-- name: open
SELECT request_id, ends FROM mk.reader_notice WHERE grant_id = $1 AND settled_at IS NULL ORDER BY told_at, request_id LIMIT $2;

-- name: settle
UPDATE mk.reader_notice SET settled = $3, settled_at = clock_timestamp()
WHERE grant_id = $1 AND request_id = ANY ($2::uuid[]) AND settled_at IS NULL;

-- name: settle_ended
UPDATE mk.reader_notice SET settled = 'ended', settled_at = clock_timestamp() WHERE grant_id = $1 AND settled_at IS NULL;

-- Answered requests of which no reader is waited for any longer, and the outcomes topic was not told so.
-- name: unreported
SELECT DISTINCT n.request_id FROM mk.reader_notice n JOIN mk.erasure_request r USING (request_id)
WHERE n.settled_at IS NOT NULL AND n.reported_at IS NULL AND r.state = 'answered' AND r.told_state = 'answered'
  AND NOT EXISTS (SELECT FROM mk.reader_notice o WHERE o.request_id = n.request_id AND o.settled_at IS NULL)
LIMIT $1;

-- name: reported
UPDATE mk.reader_notice SET reported_at = clock_timestamp() WHERE request_id = ANY ($1::uuid[]) AND reported_at IS NULL;

-- Hours since the first of a request's readers was told, as the labels of mk_erasure_requests_unacknowledged.
-- name: open_by_hours
SELECT CASE WHEN told_at > clock_timestamp() - interval '1 hour' THEN '1'
            WHEN told_at > clock_timestamp() - interval '24 hours' THEN '24'
            WHEN told_at > clock_timestamp() - interval '72 hours' THEN '72' ELSE 'more' END AS hours,
       count(*)::int AS count
FROM (SELECT min(told_at) AS told_at FROM mk.reader_notice WHERE settled_at IS NULL GROUP BY request_id) AS waiting GROUP BY 1;
