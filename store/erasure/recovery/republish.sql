-- The database's fences for a fence topic that was lost or made anew, as the login; steps as the tenant's erase role.

-- name: tenants
SELECT tenant_id FROM mk.tenant WHERE state <> 'requested' ORDER BY tenant_id

-- name: positions
SELECT partition, topic_id, next_offset FROM mk.fence_position

-- Oldest first. A fence that was executed before $1 has served its time.
-- name: fences
SELECT fence, fence_parts FROM "{schema}".erasure_step WHERE fence IS NOT NULL AND executed_at > $1 ORDER BY executed_at, subject_id

-- At the topic's beginning: what others wrote to it is applied as well, what is here already is passed over.
-- name: begin_at
INSERT INTO mk.fence_position (partition, topic_id, next_offset)
SELECT partition, $1, first FROM unnest($2::int[], $3::bigint[]) AS given (partition, first)
ON CONFLICT (partition) DO UPDATE SET topic_id = excluded.topic_id, next_offset = excluded.next_offset

-- Of a topic that was made anew with fewer partitions: nothing is looked for in what it has not.
-- name: leave_others
UPDATE mk.fence_position SET topic_id = $1, next_offset = 0 WHERE partition <> ALL ($2::int[])
