-- Every statement of the restore gate, as a login itself: the functions are mk_owner's and act for it.

-- name: positions
SELECT partition, topic_id, next_offset FROM mk.fence_position

-- name: position
SELECT topic_id, next_offset FROM mk.fence_position WHERE partition = $1

-- name: begin_fences
SELECT mk.begin_fences($1, $2, $3)

-- name: apply_fence
SELECT mk.apply_fence($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)

-- In a statement of its own before `apply_fence`: what that reads is then what was committed before the grant.
-- name: lock_alone
SELECT pg_advisory_xact_lock($1)

-- name: short_wait
SET LOCAL lock_timeout = '2s'
