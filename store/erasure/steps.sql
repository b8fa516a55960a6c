-- Steps of a request in the tenant's schema, as its erase role: what is not yet told, and which lanes have not passed.

-- name: steps
SELECT subject_id, erased_through_gen::int, watermark, executed_at, fence, fence_published_at, rows_deleted, deleted_at,
       announced_at
FROM "{schema}".erasure_step WHERE request_id = $1 ORDER BY subject_id;

-- name: fenced
UPDATE "{schema}".erasure_step SET fence_published_at = clock_timestamp()
WHERE request_id = $1 AND subject_id = ANY ($2) AND fence_published_at IS NULL;

-- name: announced
UPDATE "{schema}".erasure_step SET announced_at = clock_timestamp()
WHERE request_id = $1 AND subject_id = ANY ($2) AND announced_at IS NULL;

-- In the place of the record that was read: $3 the new one, $4 that one.
-- name: replace_fence
UPDATE "{schema}".erasure_step SET fence = $3 WHERE request_id = $1 AND subject_id = $2 AND fence = $4;

-- The first ends that were seen after the fence are the ones that count.
-- name: note_waits
INSERT INTO "{schema}".erasure_wait (request_id, partition, end_offset, slot)
SELECT $1, partition, end_offset, $4 FROM unnest($2::int[], $3::bigint[]) AS given (partition, end_offset)
ON CONFLICT (request_id, partition) DO NOTHING;

-- A lane without a row has read nothing; one of another slot than that whose ends were noted counts nothing here. $2: the
-- slot that the tenant has now.
-- name: waits
SELECT w.partition, w.end_offset, coalesce(l.position, 0) AS position, coalesce(w.slot, $2) AS slot
FROM "{schema}".erasure_wait w LEFT JOIN "{schema}".lane l ON l.partition = w.partition AND l.slot = coalesce(w.slot, $2)
WHERE w.request_id = $1 ORDER BY w.partition;

-- Those of the slots $1 that were removed for good: their lanes count as passed. As the login.
-- name: retired
SELECT slot FROM mk.slot WHERE slot = ANY ($1::text[]) AND state = 'retired';
